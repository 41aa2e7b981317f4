//! Commands as they are typed, and what they say.

mod screen;

use screen::Screen;
use shell::{Call, Command, CommandError, Commands, Completer, Console, Key, ScriptError, interact};

/// A kernel of sorts.
#[derive(Default)]
struct Machine {
    loaded: Vec<String>,
}

fn commands() -> Commands<Machine> {
    let mut commands = Commands::new();
    commands.add(Command {
        name: "load",
        summary: "load a spindle",
        usage: "load NAME",
        example: "load greeter",
        help: "Loads the spindle NAME of the boot archive.",
        run: |call: &mut Call<Machine>| {
            let name = call.arguments.word("NAME")?;
            call.arguments.end()?;
            if call.context.loaded.iter().any(|other| other == name) {
                return Err(CommandError::failed(format_args!(
                    "{name} is loaded already; `unload {name}` first"
                )));
            }
            call.context.loaded.push(name.into());
            Ok(writeln!(call.out, "loaded {name}")?)
        },
        complete: |hint| match hint.arguments {
            [] => vec!["greeter".into(), "grinder".into(), "my spindle".into()],
            _ => vec![],
        },
    });
    commands.add(Command {
        name: "count",
        summary: "count",
        usage: "count TO",
        example: "count 10",
        help: "Shows all numbers from 1 to TO.",
        run: count,
        complete: shell::no_completion,
    });
    commands.add(Command {
        name: "follow",
        summary: "follow what goes on",
        usage: "follow",
        example: "follow",
        help: "Shows a line and waits, eight times or until a key ends it.",
        run: follow,
        complete: shell::no_completion,
    });
    commands.add(Command {
        name: "draw",
        summary: "draw over what was drawn",
        usage: "draw",
        example: "draw",
        help: "Has the keyboard to itself, and draws each key until Enter, or nine times.",
        run: draw,
        complete: shell::no_completion,
    });
    commands
}

fn draw(call: &mut Call<Machine>) -> Result<(), CommandError> {
    let size = call.out.screen();
    for _ in 0..9 {
        let key = call.out.key(10);
        match size {
            Some(size) => {
                write!(call.out, "\x1b[H{}x{} {key:?}\x1b[K\n\x1b[J", size.rows, size.columns)?;
            }
            None => writeln!(call.out, "{key:?}")?,
        }
        if key == Some(Key::Enter) {
            break;
        }
    }
    Ok(())
}

fn follow(call: &mut Call<Machine>) -> Result<(), CommandError> {
    for number in 1..=8 {
        writeln!(call.out, "look {number}")?;
        if call.out.wait(10) {
            writeln!(call.out, "ended")?;
            break;
        }
    }
    Ok(())
}

fn count(call: &mut Call<Machine>) -> Result<(), CommandError> {
    let to: u32 = call.arguments.number("TO")?;
    call.arguments.end()?;
    for number in 1..=to {
        writeln!(call.out, "{number}")?;
    }
    Ok(())
}

fn run(text: &str) -> (Result<(), String>, String, Machine) {
    let (mut machine, mut out) = (Machine::default(), String::new());
    let result = commands().run_script(text, &mut machine, &mut out);
    (result.map_err(|error| error.to_string()), out, machine)
}

#[test]
fn a_script_runs_in_order() {
    let (result, out, machine) = run("load greeter; echo \"a; b\"  c ; count 2");
    assert_eq!(result, Ok(()));
    assert_eq!(out, "loaded greeter\na; b c\n1\n2\n");
    assert_eq!(machine.loaded, ["greeter"]);
    assert_eq!(run(" ; ").0, Ok(()));
}

#[test]
fn the_first_failure_ends_the_script() {
    let (result, out, machine) = run("load greeter; load greeter; load other");
    assert_eq!(result.unwrap_err(), "load: greeter is loaded already; `unload greeter` first");
    assert_eq!((out.as_str(), machine.loaded.len()), ("loaded greeter\n", 1));
}

#[test]
fn nothing_runs_of_a_script_that_cannot_be_read() {
    let (result, out, machine) = run("load greeter; echo \"oh");
    assert_eq!(
        result.unwrap_err(),
        "column 20: this quote is never closed; add a \" or write \\\" for the sign itself"
    );
    assert_eq!((out.as_str(), machine.loaded.len()), ("", 0));
}

#[test]
fn unknown_commands_teach() {
    let error = |text| run(text).0.unwrap_err();
    assert_eq!(
        error("echo x; laod greeter"),
        "column 9: there is no command `laod`; did you mean `load`? `help` lists all commands"
    );
    assert_eq!(error("xyzzy"), "column 1: there is no command `xyzzy`; `help` lists all commands");
    assert_eq!(error("\"\x1b[2J\""), "column 1: there is no command `\\u{1b}[2J`; `help` lists all commands");
    assert_eq!(error("help laod"), "help: there is no command `laod`; did you mean `load`?");
}

#[test]
fn wrong_arguments_teach() {
    let tail = "\n  usage:   count TO\n  example: count 10";
    let error = |text| run(text).0.unwrap_err();
    assert_eq!(error("count"), format!("count: TO is missing{tail}"));
    assert_eq!(
        error("count ten"),
        format!("count: TO must be a number such as 1000 or 0x3e8, not `ten`{tail}")
    );
    assert_eq!(error("count 5 6"), format!("count: `6` is one argument too many{tail}"));
    assert_eq!(error("count 0x1_0000_0000"), format!("count: TO is too large: 0x1_0000_0000{tail}"));
}

#[test]
fn help() {
    let (result, out, _) = run("help");
    assert_eq!(result, Ok(()));
    let expected = "\
command         what it does
count TO        count
draw            draw over what was drawn
echo [WORD]...  show its arguments
follow          follow what goes on
help [COMMAND]  list all commands, or explain one
load NAME       load a spindle

`help COMMAND` explains one; `;` separates commands; Tab completes.
";
    assert_eq!(out, expected);
    let expected = "\
load: load a spindle

  usage:   load NAME
  example: load greeter

Loads the spindle NAME of the boot archive.
";
    assert_eq!(run("help load").1, expected);
    assert_eq!(run("load --help").1, expected);
    assert!(run("load --help").2.loaded.is_empty());
}

#[test]
fn completion_knows_commands_and_arguments() {
    let (commands, machine) = (commands(), Machine::default());
    let complete = |text| {
        let found = (&commands, &machine).complete(text);
        (found.start, found.words)
    };
    let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    assert_eq!(complete("l"), (0, words(&["load"])));
    assert_eq!(complete(""), (0, words(&["count", "draw", "echo", "follow", "help", "load"])));
    assert_eq!(complete("echo ö; load gr"), (13, words(&["greeter", "grinder"])));
    assert_eq!(complete("load m"), (5, words(&["\"my spindle\""])));
    assert_eq!(complete("load \"my s"), (5, words(&["\"my spindle\""])));
    assert_eq!(complete("load greeter "), (13, words(&[])));
    assert_eq!(complete("help e"), (5, words(&["echo"])));
    assert_eq!(complete("nothing "), (8, words(&[])));
}

#[test]
fn commands_can_be_replaced() {
    let mut commands = commands();
    commands.add(Command { summary: "count better", ..Command { run: count, ..counting() } });
    assert_eq!(commands.iter().filter(|command| command.name == "count").count(), 1);
    assert_eq!(commands.find("count").unwrap().summary, "count better");
}

fn counting() -> Command<Machine> {
    Command {
        name: "count",
        summary: "",
        usage: "",
        example: "",
        help: "",
        run: count,
        complete: shell::no_completion,
    }
}

#[test]
fn errors_can_be_matched() {
    let error = commands().run_script("laod", &mut Machine::default(), &mut String::new()).unwrap_err();
    assert!(matches!(error, ScriptError::Unknown { nearest, .. } if nearest == ["load"]));
}

/// A whole session: all keys at once, the screen at its end. The line end after Ctrl-D scrolls a full screen
/// by a row.
fn session(rows: u16, keys: &str) -> Vec<String> {
    let mut console = Console::new(Screen::new(rows, 40, keys));
    interact(&mut console, &commands(), &mut Machine::default(), "whorl> ");
    console.terminal().rows()
}

#[test]
fn a_session() {
    let rows = session(24, "lo\tgre\t\rload greeter\rabc\x03\x1b[A\x1b[A\r\x04");
    let expected = [
        "whorl> load greeter",
        "loaded greeter",
        "whorl> load greeter",
        "load: greeter is loaded already; `unload",
        " greeter` first",
        "whorl> abc^C",
        "whorl> load greeter",
        "load: greeter is loaded already; `unload",
        " greeter` first",
        "whorl>",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn long_output_waits() {
    // Six rows: five of output and the question. The keys end there, so all that follows is shown.
    let question = "-- more (space, enter, q) --";
    let at_question = |keys: &str| {
        let mut console = Console::new(Stuck { screen: Screen::new(6, 40, keys), snapshot: None });
        console.measure();
        let commands = commands();
        let mut out = shell::Pager::new(&mut console);
        commands.run_script("count 20", &mut Machine::default(), &mut out).unwrap();
        console.terminal().snapshot.take().unwrap()
    };
    assert_eq!(at_question(""), ["1", "2", "3", "4", "5", question]);
    assert_eq!(at_question(" "), ["6", "7", "8", "9", "10", question]);
    assert_eq!(at_question("x\r"), ["2", "3", "4", "5", "6", question]);
    assert_eq!(at_question(" \r\x1b[B"), ["8", "9", "10", "11", "12", question]);
}

/// Keeps the screen as it is when the first key is asked for that nobody typed.
struct Stuck {
    screen: Screen,
    snapshot: Option<Vec<String>>,
}

impl shell::Terminal for Stuck {
    fn read_byte(&mut self) -> Option<u8> {
        let byte = self.screen.read_byte();
        if byte.is_none() {
            let rows = self.screen.rows();
            self.snapshot.get_or_insert(rows);
        }
        byte
    }

    fn read_byte_within(&mut self, timeout_ms: u32) -> Option<u8> {
        self.screen.read_byte_within(timeout_ms)
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        self.screen.write_bytes(bytes);
    }
}

#[test]
fn quitting_drops_the_rest_but_not_the_commands() {
    let rows = session(6, "count 1000000000; load late\rq\x04");
    assert_eq!(rows, ["2", "3", "4", "5", "whorl>"]);
    let rows = session(6, "count 9; load late\rqload late\r\x04");
    assert_eq!(rows[rows.len() - 3..], ["load: late is loaded already; `unload la", "te` first", "whorl>"]);
}

#[test]
fn output_that_fits_does_not_wait() {
    let rows = session(6, "count 5\r\x04");
    assert_eq!(rows, ["2", "3", "4", "5", "whorl>"]);
}

#[test]
fn rows_that_wrap_count_as_what_they_take() {
    // 41 signs in 40 columns, three times: six rows; the sixth must wait.
    let word = "x".repeat(41);
    let keys = format!("echo {word}; echo {word}; echo {word}\rq\x04");
    let rows = session(6, &keys);
    assert_eq!(rows, ["x", &word[1..], "x", &word[1..], "whorl>"]);
}

#[test]
fn what_goes_on_is_followed_without_questions_until_a_key_ends_it() {
    // More lines than the screen has: each was there to be seen.
    assert_eq!(session(6, "follow\r"), ["look 5", "look 6", "look 7", "look 8", "whorl>"]);
    assert_eq!(session(24, "follow\rq"), ["whorl> follow", "look 1", "ended", "whorl>"]);
    assert_eq!(session(24, "follow\rx\x03"), ["whorl> follow", "look 1", "ended", "whorl>"]);
    // Keys that come while it waits, one a look.
    let followed = |keys: &str| {
        let mut console = Console::new(Screen::new(24, 40, keys));
        let mut out = shell::Pager::new(&mut console);
        commands().run_script("follow", &mut Machine::default(), &mut out).unwrap();
        console.terminal().rows().join(" ")
    };
    assert_eq!(followed("q"), "look 1 ended");
    assert_eq!(followed("xy\x03"), "look 1 look 2 look 3 ended");
    assert_eq!(
        followed("xqQ").lines().last(),
        Some("look 1 look 2 look 3 look 4 look 5 look 6 look 7 look 8")
    );
    // Nobody is there to end it, so it runs to its end.
    assert_eq!(run("follow").1.lines().count(), 8);
}

#[test]
fn keys_that_do_not_end_what_goes_on_are_kept() {
    let rows = session(24, "follow\recho q\r");
    assert_eq!(rows[rows.len() - 3..], ["whorl> echo q", "q", "whorl>"]);
}

#[test]
fn a_command_can_have_the_keyboard_and_the_screen() {
    // Ten frames on six rows, one over the other, and no question; keys are the command's, and after Enter the line's.
    assert_eq!(
        session(6, "draw\rq\x03\x1b[A\recho q\r"),
        ["6x40 Some(Enter)", "whorl> echo q", "q", "whorl>"]
    );
    assert_eq!(session(6, "draw\rq"), ["6x40 None", "whorl>"]);
    // Nobody is at a keyboard, and nothing is drawn over.
    assert_eq!(run("draw").1, "None\n".repeat(9));
}
