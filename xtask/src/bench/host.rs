//! The host's part: criterion's benchmarks of the dispatcher, and what they print themselves.
use super::Suite;
use super::measurement::{self, Measurement, Mode};
use crate::error::{Error, Result};
use crate::files;
use crate::shell;
use crate::workspace::Workspace;

/// The suite that has a part for the host, and the name of its benchmark.
const SUITE: &str = Suite::Dispatch.name();

/// Runs the benchmarks of crate `hosted` and reads what they measured.
pub fn run(workspace: &Workspace) -> Result<Vec<Measurement>> {
    let home = workspace.products().join("criterion");
    // What an earlier run measured; there may be none.
    let _ = std::fs::remove_dir_all(&home);
    let mut cargo = shell::cargo(&workspace.root);
    cargo.args(["bench", "--package", "hosted", "--bench", SUITE, shell::color()]);
    cargo.env("CRITERION_HOME", &home);
    let output = workspace.shell.run(
        "measuring on this machine (about a minute)",
        &mut cargo,
        "mend what the compiler says above",
    )?;
    let output = String::from_utf8_lossy(&output);
    let mut all = Vec::new();
    for folder in files::folders_in(&home.join(SUITE)) {
        let sample = folder.join("new/sample.json");
        // Beside the cases there is a folder with criterion's report.
        if !sample.is_file() {
            continue;
        }
        let case = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let samples = measurement::criterion(&files::read_text(&sample)?)?;
        all.push(Measurement { suite: SUITE, case, mode: Mode::Host, cores: 1, samples });
    }
    if all.is_empty() {
        return Err(Error::new(
            format!("criterion has left nothing in {}", home.join(SUITE).display()),
            "see what it says: cargo bench --package hosted --bench dispatch",
        ));
    }
    let lines = output.lines().filter_map(measurement::parse);
    all.extend(lines.filter_map(|value| Measurement::read(SUITE, Mode::Host, &value)));
    Ok(all)
}
