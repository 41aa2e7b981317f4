//! Scripted keys, and the lines and screens that come of them.

mod screen;

use screen::Screen;
use shell::{Completer, Completion, Console, Editor, Key, ReadError, Size};

const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const RIGHT: &str = "\x1b[C";
const LEFT: &str = "\x1b[D";
const HOME: &str = "\x1b[H";
const END: &str = "\x1bOF";
const DELETE: &str = "\x1b[3~";

/// Types keys, then Enter; gives the line and the screen.
fn edit(keys: &[&str]) -> (String, Screen) {
    let mut console = Console::new(Screen::new(24, 80, &format!("{}\r", keys.concat())));
    let line = Editor::new().read_line(&mut console, "> ", &()).unwrap();
    let screen = std::mem::replace(console.terminal(), Screen::new(1, 1, ""));
    (line, screen)
}

#[track_caller]
fn expect(keys: &[&str], expected: &str) {
    let (line, screen) = edit(keys);
    assert_eq!(line, expected);
    // What was shown is what was read.
    assert_eq!(screen.rows(), [format!("> {expected}").trim_end()]);
    assert_eq!(screen.cursor(), (1, 0));
}

#[test]
fn typing_and_moving() {
    expect(&["load"], "load");
    expect(&["lad", LEFT, LEFT, "o"], "load");
    expect(&["oad", HOME, "l", END, "!"], "load!");
    expect(&["oad", "\x01", "l", "\x05", "!"], "load!");
    expect(&["ad", "\x02\x02", "lo", "\x06", RIGHT, RIGHT, "?"], "load?");
    expect(&["two words", "\x1b[1;5D", "ugly ", "\x1bb\x1bb", "not ", "\x1bf", "-"], "not two- ugly words");
    expect(&["größe", LEFT, "→"], "größ→e");
}

#[test]
fn deleting() {
    expect(&["loadd\x7f"], "load");
    expect(&["looad", LEFT, LEFT, "\x08"], "load");
    expect(&["looad", HOME, RIGHT, DELETE], "load");
    expect(&["looad", HOME, RIGHT, "\x04"], "load");
    expect(&["grüß\x7f\x7fn"], "grn");
}

#[test]
fn cutting_and_pasting() {
    expect(&["load greeter", HOME, RIGHT, RIGHT, RIGHT, RIGHT, "\x0b"], "load");
    expect(&["wrong", LEFT, "\x15"], "g");
    expect(&["raise Demo.Hello 10\x17\x17"], "raise ");
    expect(&["one two\x17\x01\x19 "], "two one ");
}

#[test]
fn impossible_keys_ring_and_change_nothing() {
    for key in [LEFT, RIGHT, UP, DOWN, DELETE, "\x7f", "\x0b", "\x15", "\x17", "\x19", "\x0f", "\t"] {
        let (line, screen) = edit(&[key]);
        assert_eq!((line.as_str(), screen.bells), ("", 1), "{key:?}");
    }
    expect(&["a\x1b[15~\x1b[?1;2c\x1b[200~b"], "ab");
}

#[test]
fn typing_costs_one_byte_a_sign() {
    let (_, short) = edit(&["x"]);
    let (_, long) = edit(&[&"x".repeat(41)]);
    assert_eq!(long.shown - short.shown, 40);
}

#[test]
fn ends_of_input() {
    let read = |keys| {
        let mut console = Console::new(Screen::new(24, 80, keys));
        let result = Editor::new().read_line(&mut console, "> ", &());
        (result, console.terminal().rows(), console.terminal().cursor())
    };
    assert_eq!(read("halt\x03"), (Err(ReadError::Interrupted), vec!["> halt^C".into()], (1, 0)));
    assert_eq!(read("\x04"), (Err(ReadError::EndOfInput), vec![">".into()], (1, 0)));
    assert_eq!(read(""), (Err(ReadError::EndOfInput), vec![">".into()], (1, 0)));
    assert_eq!(read("last"), (Ok("last".into()), vec!["> last".into()], (1, 0)));
    // Within a line, Ctrl-D is a key like others.
    assert_eq!(read("ab\x01\x04\r").0, Ok("b".into()));
}

#[test]
fn history() {
    let mut console = Console::new(Screen::new(24, 80, ""));
    let mut editor = Editor::new();
    let mut read = |keys: &[&str]| {
        console.terminal().type_keys(&format!("{}\r", keys.concat()));
        editor.read_line(&mut console, "> ", &()).unwrap()
    };
    assert_eq!(read(&["first"]), "first");
    assert_eq!(read(&["second"]), "second");
    assert_eq!(read(&["second"]), "second");
    assert_eq!(read(&["   "]), "   ");
    assert_eq!(read(&[UP, UP]), "first");
    // Now: first, second, first. What was begun comes back below the newest.
    assert_eq!(read(&["dra", UP, UP, DOWN, DOWN, "ft"]), "draft");
    assert_eq!(read(&[UP, UP, UP, UP, UP, UP, "!"]), "first!");
    assert_eq!(read(&["\x10\x10", "\x0e"]), "first!");
    for index in 0..150 {
        read(&[&index.to_string()]);
    }
    assert_eq!(read(&[&UP.repeat(120)]), "50");
}

#[test]
fn lines_longer_than_a_row() {
    for length in [17, 18, 19, 37, 38, 39, 55] {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let keys = format!("{text}\x01#\x05!\x02\x02\x7f+\r");
        let mut console = Console::new(Screen::new(10, 20, ""));
        console.measure();
        console.terminal().type_keys(&keys);
        let line = Editor::new().read_line(&mut console, "> ", &()).unwrap();
        let mut expected = format!("#{text}!");
        expected.replace_range(length - 1..length, "+");
        assert_eq!(line, expected, "{length}");
        assert_eq!(console.terminal().rows().concat(), format!("> {expected}"), "{length}");
    }
}

#[test]
fn clearing_the_screen_keeps_the_line() {
    let mut console = Console::new(Screen::new(24, 80, "ab\x02\x0cx"));
    console.terminal().type_keys("\x03");
    use std::fmt::Write;
    writeln!(console, "noise").unwrap();
    let _ = Editor::new().read_line(&mut console, "> ", &());
    assert_eq!(console.terminal().rows(), ["> axb^C"]);
}

#[test]
fn measuring() {
    let mut console = Console::new(Screen::new(50, 132, ""));
    assert_eq!(console.size(), Size { rows: 24, columns: 80 });
    assert_eq!(console.measure(), Size { rows: 50, columns: 132 });
    assert_eq!(console.terminal().cursor(), (0, 0));
    // A window that changes is noticed at the next line; what was typed meanwhile is not lost.
    console.terminal().resize(30, 100);
    console.terminal().type_keys("early\r");
    let mut editor = Editor::new();
    assert_eq!(editor.read_line(&mut console, "> ", &()), Ok("early".into()));
    console.terminal().type_keys("\r");
    assert_eq!(editor.read_line(&mut console, "> ", &()), Ok("".into()));
    assert_eq!(console.size(), Size { rows: 30, columns: 100 });
}

#[test]
fn a_terminal_that_does_not_answer_is_asked_once() {
    let mut screen = Screen::new(50, 132, "typed\x1b[A");
    screen.answers = false;
    let mut console = Console::new(screen);
    assert_eq!(console.measure(), Size::default());
    console.terminal().type_keys("\r");
    assert_eq!(Editor::new().read_line(&mut console, "> ", &()), Ok("typed".into()));
    assert_eq!(console.terminal().asked, 1);
    // A late answer is no key, and is believed.
    console.terminal().type_keys("\x1b[40;90Rx");
    assert_eq!(console.read_key(), Some(Key::Char('x')));
    assert_eq!(console.size(), Size { rows: 40, columns: 90 });
}

/// Completes the last word from a list.
struct Words(Vec<String>);

impl Words {
    fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|word| word.to_string()).collect())
    }
}

impl Completer for Words {
    fn complete(&self, line: &str) -> Completion {
        let start = line.rfind(' ').map_or(0, |blank| blank + 1);
        let words = self.0.iter().filter(|word| word.starts_with(&line[start..])).cloned().collect();
        Completion { start: line[..start].chars().count(), words }
    }
}

fn complete(words: &Words, rows: u16, keys: &str) -> (String, Vec<String>, usize) {
    let mut console = Console::new(Screen::new(rows, 40, ""));
    console.measure();
    console.terminal().type_keys(&format!("{keys}\r"));
    let line = Editor::new().read_line(&mut console, "> ", words).unwrap();
    (line, console.terminal().rows(), console.terminal().bells)
}

#[test]
fn completion() {
    let words = Words::new(&["cores", "corners", "greeter", "grüße", "gründe"]);
    let line = |keys| complete(&words, 24, keys).0;
    // One word: all of it, and on to the next.
    assert_eq!(line("gre\t!"), "greeter !");
    // Several: what they have in common.
    assert_eq!(line("c\tn\t"), "corners ");
    assert_eq!(line("grü\tß\t"), "grüße ");
    // In the middle of a line, what follows stays.
    assert_eq!(line("xxx\x01gre\t"), "greeter xxx");
    let (none, _, bells) = complete(&words, 24, "x\t");
    assert_eq!((none.as_str(), bells), ("x", 1));
}

#[test]
fn a_choice_is_shown_below_the_line() {
    let words = Words::new(&["cores", "corners", "greeter"]);
    let (line, rows, _) = complete(&words, 24, "c\t\tn\t");
    assert_eq!(line, "corners ");
    assert_eq!(rows, ["> cor", "cores    corners", "> corners"]);
}

#[test]
fn a_choice_that_is_too_long_says_so() {
    let words: Vec<_> = (0..50).map(|index| format!("event-number-{index:02}")).collect();
    let (_, rows, _) = complete(&Words(words), 6, "\t\t");
    assert_eq!(rows[rows.len() - 2], "... and 44 more");
    assert_eq!(rows[0], "event-number-00  event-number-01");
}

/// Whatever is typed, the editor neither panics nor shows another line than it returns.
#[test]
fn noise_is_harmless() {
    let mut seed = 0x5eed_u64;
    let mut random = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let parts = [
        "a",
        "ö",
        " ",
        "\t",
        "\x7f",
        "\x01",
        "\x05",
        "\x0b",
        "\x15",
        "\x17",
        "\x19",
        UP,
        DOWN,
        LEFT,
        RIGHT,
        DELETE,
        HOME,
        END,
        "\x1b",
        "[",
        ";",
        "99999999",
        "R",
        "~",
        "\x1bO",
        "\x1b[;R",
        "\x1b]0;",
        "\x07",
        "\x1bP",
        "\u{80}",
        "\x1b[1;5C",
    ];
    for _ in 0..500 {
        let mut console = Console::new(Screen::new(24, 20, ""));
        console.measure();
        console.terminal().answers = false;
        let mut keys: String = (0..60).map(|_| parts[random(parts.len())]).collect();
        // Ends whatever sequence is open, clears the screen, enters the line.
        keys.push_str("\x18\x0c\r");
        console.terminal().type_keys(&keys);
        let words = Words::new(&["aa", "ab", "öö"]);
        let line = Editor::new().read_line(&mut console, "> ", &words).unwrap();
        if console.size().columns == 20 {
            let shown = console.terminal().rows().concat();
            assert_eq!(shown.replace(' ', ""), format!("> {line}").replace(' ', ""), "{keys:?}");
        }
    }
}
