//! Commands: what they are, and how they are found, run and completed.

use alloc::string::String;
use alloc::vec::Vec;

use crate::nearest::nearest;
use crate::script::{self, Statement};
use crate::{Arguments, CommandError, Completer, Completion, Output, ScriptError, builtin};

/// A command, over the context `C` on which it works.
pub struct Command<C> {
    /// What is typed to call it: one word.
    pub name: &'static str,
    /// What it does, in a few words without a full stop.
    pub summary: &'static str,
    /// Its name and arguments, those in capitals to be replaced, those in brackets optional:
    /// `raise EVENT [COUNT]`.
    pub usage: &'static str,
    /// A call as it may really be typed.
    pub example: &'static str,
    /// What else is to know, in whole sentences.
    pub help: &'static str,
    /// Does it.
    pub run: fn(&mut Call<C>) -> Result<(), CommandError>,
    /// What its next argument may be; only words that begin as what is typed are offered.
    pub complete: fn(&Hint<C>) -> Vec<String>,
}

/// What a command that runs is given.
pub struct Call<'c, C> {
    /// All commands.
    pub commands: &'c Commands<C>,
    /// What the commands work on.
    pub context: &'c mut C,
    /// The words after the name.
    pub arguments: Arguments<'c>,
    /// Where its output goes. Errors of it are to be passed on (`?`): the reader has quit. So a command does
    /// its work before it tells of it, or the work is cut short, too.
    pub out: &'c mut dyn Output,
}

/// What a command is given that shall complete its next argument.
pub struct Hint<'c, C> {
    /// All commands.
    pub commands: &'c Commands<C>,
    /// What the commands work on.
    pub context: &'c C,
    /// The arguments before the one that is asked for.
    pub arguments: &'c [String],
}

/// For commands without arguments, or with such as nobody can guess.
pub fn no_completion<C>(_: &Hint<C>) -> Vec<String> {
    Vec::new()
}

/// All commands, `help` and `echo` among them.
pub struct Commands<C> {
    commands: Vec<Command<C>>,
}

impl<C> Default for Commands<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Commands<C> {
    /// Nothing but `help` and `echo`.
    pub fn new() -> Self {
        Self { commands: alloc::vec![builtin::help(), builtin::echo()] }
    }

    /// Adds a command; one of the same name is replaced.
    pub fn add(&mut self, command: Command<C>) -> &mut Self {
        self.commands.retain(|other| other.name != command.name);
        self.commands.push(command);
        self
    }

    /// All commands in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Command<C>> {
        let mut commands: Vec<_> = self.commands.iter().collect();
        commands.sort_unstable_by_key(|command| command.name);
        commands.into_iter()
    }

    /// The command of this name.
    pub fn find(&self, name: &str) -> Option<&Command<C>> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// Names that may have been meant by a word that is none, most likely first.
    pub fn nearest(&self, name: &str) -> Vec<&'static str> {
        nearest(name, self.commands.iter().map(|command| command.name))
    }

    /// Runs the commands of a script one after another. The first that fails is named and ends it.
    ///
    /// `CMD --help` does what `help CMD` does.
    ///
    /// # Errors
    ///
    /// The first command that fails, or the reason why none was run.
    pub fn run_script(&self, text: &str, context: &mut C, out: &mut dyn Output) -> Result<(), ScriptError> {
        script::split(text)?.iter().try_for_each(|statement| self.run(statement, context, out))
    }

    fn run(&self, statement: &Statement, context: &mut C, out: &mut dyn Output) -> Result<(), ScriptError> {
        let Some((name, words)) = statement.words.split_first() else { return Ok(()) };
        let command = self.find(name).ok_or_else(|| ScriptError::Unknown {
            name: name.clone(),
            column: statement.column,
            nearest: self.nearest(name),
        })?;
        let asks_help = words.first().is_some_and(|word| word == "--help");
        let result = if asks_help {
            builtin::explain(command, out).map_err(CommandError::from)
        } else {
            (command.run)(&mut Call { commands: self, context, arguments: Arguments::new(words), out })
        };
        let Command { name, usage, example, .. } = *command;
        match result {
            Ok(()) | Err(CommandError::Stopped) => Ok(()),
            Err(CommandError::Usage(reason)) => Err(ScriptError::Usage { name, reason, usage, example }),
            Err(CommandError::Failed(reason)) => Err(ScriptError::Failed { name, reason }),
        }
    }

    /// Completes the last word of a script: a command's name, or an argument of which the command knows.
    pub fn complete(&self, context: &C, text: &str) -> Completion {
        let Some(typed) = script::split_unfinished(text) else { return Completion::default() };
        let mut words = match typed.words.split_first() {
            None => self.iter().map(|command| command.name.into()).collect(),
            Some((name, arguments)) => match self.find(name) {
                Some(command) => (command.complete)(&Hint { commands: self, context, arguments }),
                None => Vec::new(),
            },
        };
        words.retain(|word| word.starts_with(&typed.last));
        words.sort_unstable();
        words.dedup();
        Completion { start: typed.start, words: words.iter().map(|word| script::quoted(word)).collect() }
    }
}

/// Commands and what they work on: together they know how a line can go on.
impl<C> Completer for (&Commands<C>, &C) {
    fn complete(&self, line: &str) -> Completion {
        let (commands, context) = *self;
        commands.complete(context, line)
    }
}
