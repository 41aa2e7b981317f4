//! What the user sees while long work goes on: one line with the time, on standard error. Short work says nothing.
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Work that ends sooner is not worth a line.
const SHORT: Duration = Duration::from_millis(1000);
/// How often the time is written anew on a terminal.
const BEAT: Duration = Duration::from_millis(200);

/// One step of work under way. Dropping it ends the line.
pub struct Step {
    details: Option<Sender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl Step {
    /// Begins a step named as the user should read it: "building the kernel".
    pub fn begin(name: impl Into<String>) -> Step {
        let name = name.into();
        let (details, received) = mpsc::channel::<String>();
        let writer = std::thread::spawn(move || {
            let begun = Instant::now();
            let on_terminal = std::io::stderr().is_terminal();
            let mut detail = String::new();
            let mut next_line = SHORT;
            let mut was_shown = false;
            loop {
                match received.recv_timeout(BEAT.min(next_line.saturating_sub(begun.elapsed()))) {
                    Ok(news) => detail = news,
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) if begun.elapsed() >= next_line => {
                        was_shown = true;
                        if on_terminal {
                            say(&format!("\r\x1b[K{}", line(&name, begun.elapsed(), &detail)));
                            next_line = begun.elapsed() + BEAT;
                        } else {
                            // In a log every line stays: one when it is known to be long, then one a minute.
                            say(&format!("{} ...\n", line(&name, begun.elapsed(), &detail)));
                            next_line = begun.elapsed() + Duration::from_secs(60);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
            if was_shown {
                let clear = if on_terminal { "\r\x1b[K" } else { "" };
                say(&format!("{clear}{}, done\n", line(&name, begun.elapsed(), "")));
            }
        });
        Step { details: Some(details), writer: Some(writer) }
    }

    /// A handle by which another thread says what is being done within the step.
    pub fn details(&self) -> Option<Sender<String>> {
        self.details.clone()
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.details = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has shown its panic; the step itself is not harmed by it.
            let _ = writer.join();
        }
    }
}

fn say(text: &str) {
    let mut error = std::io::stderr().lock();
    // Where nobody can read it, progress may get lost.
    let _ = error.write_all(text.as_bytes()).and_then(|()| error.flush());
}

fn line(name: &str, elapsed: Duration, detail: &str) -> String {
    let time = seconds(elapsed);
    match detail.trim() {
        "" => format!("{time:>7}  {name}"),
        detail => format!("{time:>7}  {name}: {}", detail.chars().take(60).collect::<String>()),
    }
}

/// A duration as it is shown everywhere: `0.4 s`, `2 min 5 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..100 => format!("{:.1} s", time.as_secs_f64()),
        long => format!("{} min {} s", long / 60, long % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{line, seconds};
    use std::time::Duration;

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }

    #[test]
    fn a_line_names_the_step_and_what_it_does() {
        assert_eq!(line("building", Duration::from_secs(3), ""), "  3.0 s  building");
        assert_eq!(line("building", Duration::from_secs(3), " log \n"), "  3.0 s  building: log");
    }
}
