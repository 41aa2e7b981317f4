//! What the figures were taken on.
use crate::workspace::Workspace;
use std::path::Path;
use std::process::Command;

/// The head above the figures: processor, compiler, commit, emulator.
pub fn head(workspace: &Workspace, qemu: Option<&Path>) -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut rustc = Command::new("rustc");
    rustc.arg("-V").current_dir(&workspace.root);
    let mut lines = vec![
        format!("machine   {}", processor(&cpus)),
        format!("compiler  {}", said(&mut rustc)),
        format!("commit    {}", commit(workspace)),
    ];
    lines.extend(qemu.map(|qemu| format!("emulator  {}", said(Command::new(qemu).arg("--version")))));
    lines.join("\n")
}

/// `AMD EPYC, 2 processors`.
fn processor(cpus: &str) -> String {
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim());
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    format!("{model}, {count} processors")
}

fn commit(workspace: &Workspace) -> String {
    let git = |words: &[&str]| said(Command::new("git").args(words).current_dir(&workspace.root));
    let changes = git(&["status", "--porcelain"]);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    match changes.as_str() {
        "" => commit,
        _ => commit + ", with changes",
    }
}

/// The first line that a program says; `unknown` where it cannot be run, empty where it says nothing.
fn said(command: &mut Command) -> String {
    let done = command.output().ok().filter(|done| done.status.success());
    done.map_or("unknown".into(), |done| {
        String::from_utf8_lossy(&done.stdout).lines().next().unwrap_or_default().to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::{processor, said};
    use std::process::Command;

    #[test]
    fn processors_are_named_and_counted() {
        let cpus = "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(processor(cpus), "AMD EPYC, 2 processors");
        assert_eq!(processor(""), "unknown, 0 processors");
    }

    #[test]
    fn what_cannot_be_asked_is_unknown() {
        assert_eq!(said(&mut Command::new("/no/such/program")), "unknown");
        assert_eq!(said(Command::new("echo").arg("one\ntwo")), "one");
    }
}
