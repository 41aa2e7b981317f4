//! What is missing on this machine is installed, or the one command that does it is said. Costs milliseconds when
//! nothing is.
use crate::error::{Error, Result};
use crate::shell::find_program;
use crate::workspace::{TARGET, Workspace, sysroot};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The emulator, by name.
pub const QEMU: &str = "qemu-system-x86_64";

/// Sees to it that the toolchain can compile for the kernel's target.
pub fn toolchain(workspace: &Workspace) -> Result<()> {
    let sysroot = sysroot()?;
    if has_target(&sysroot) {
        return Ok(());
    }
    let by_hand = format!(
        "run: rustup target add {TARGET} (where Rust is not from rustup, install its standard library for that target)"
    );
    if find_program("rustup").is_none() {
        let what = format!("the toolchain {} cannot compile for {TARGET}", sysroot.display());
        return Err(Error::new(what, by_hand));
    }
    // Without arguments rustup installs what rust-toolchain.toml names, unless the running cargo has told it by
    // RUSTUP_TOOLCHAIN which toolchain this is: then it would look at nothing but that name.
    let mut pinned = Command::new("rustup");
    pinned.args(["toolchain", "install"]).env_remove("RUSTUP_TOOLCHAIN");
    // The toolchain in use is another where the user said so (`cargo +other xtask`).
    let mut running = Command::new("rustup");
    running.args(["target", "add", TARGET]);
    for mut rustup in [pinned, running] {
        rustup.current_dir(&workspace.root);
        workspace.shell.run(&format!("installing the target {TARGET}"), &mut rustup, &by_hand)?;
        if has_target(&sysroot) {
            return Ok(());
        }
    }
    Err(Error::new(
        format!("the toolchain in use, {}, still lacks the target {TARGET}", sysroot.display()),
        by_hand,
    ))
}

fn has_target(sysroot: &Path) -> bool {
    let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::read_dir(library).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// The emulator that the user named or that is in PATH; installs it where it is missing and this user may.
pub fn qemu(workspace: &Workspace, named: Option<&str>) -> Result<PathBuf> {
    if let Some(named) = named {
        return find_program(named).ok_or_else(|| {
            Error::new(format!("no QEMU at {named}"), format!("name an existing {QEMU}, or leave --qemu out"))
        });
    }
    if let Some(found) = find_program(QEMU) {
        return Ok(found);
    }
    install_qemu(workspace)?;
    find_program(QEMU).ok_or_else(|| {
        Error::new(format!("apt-get is done, but {QEMU} is not in PATH"), "name it: --qemu PATH")
    })
}

fn install_qemu(workspace: &Workspace) -> Result<()> {
    match plan(find_program("apt-get").is_some(), is_root(), find_program("sudo").is_some()) {
        Plan::Say(next) => Err(Error::new(format!("{QEMU} is not installed"), next)),
        Plan::Install => {
            for words in APT {
                let mut apt = Command::new("apt-get");
                apt.args(*words).env("DEBIAN_FRONTEND", "noninteractive");
                let next = "mend what apt-get says above, or install QEMU by hand and name it: --qemu PATH";
                workspace.shell.run("installing QEMU", &mut apt, next)?;
            }
            Ok(())
        }
    }
}

/// What apt-get is told, in turn.
const APT: &[&[&str]] =
    &[&["update", "-q"], &["install", "-q", "--yes", "--no-install-recommends", "qemu-system-x86"]];

/// How a missing QEMU is dealt with.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Install,
    Say(String),
}

fn plan(has_apt: bool, is_root: bool, has_sudo: bool) -> Plan {
    let update = "apt-get update";
    let install = "apt-get install --yes --no-install-recommends qemu-system-x86";
    match (has_apt, is_root, has_sudo) {
        (true, true, _) => Plan::Install,
        (true, false, true) => Plan::Say(format!("run: sudo {update} && sudo {install}")),
        (true, false, false) => Plan::Say(format!("run as root: {update} && {install}")),
        (false, ..) => Plan::Say(format!("install {QEMU} (7.2 or later) by your system's packages")),
    }
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| effective_user(&status) == Some(0))
}

/// The effective user in a `/proc/PID/status`: the second number after `Uid:`.
fn effective_user(status: &str) -> Option<u32> {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Plan, effective_user, has_target, plan};
    use crate::workspace::sysroot;
    use std::path::Path;

    #[test]
    fn an_installed_target_is_seen_and_a_missing_one_too() {
        let empty = std::env::temp_dir().join(format!("whorl-sysroot-{}", std::process::id()));
        std::fs::create_dir_all(empty.join("lib/rustlib/x86_64-unknown-none/lib")).unwrap();
        assert!(!has_target(&empty), "an empty folder is no target");
        assert!(!has_target(Path::new("/nowhere")));
        std::fs::remove_dir_all(empty).unwrap();
        assert!(has_target(&sysroot().unwrap()), "this toolchain compiles the kernel");
    }

    #[test]
    fn qemu_is_installed_only_by_root_where_apt_is() {
        assert_eq!(plan(true, true, false), Plan::Install);
        for (apt, root, sudo, word) in [
            (true, false, true, "sudo apt-get"),
            (true, false, false, "as root"),
            (false, true, true, "install"),
        ] {
            let Plan::Say(next) = plan(apt, root, sudo) else {
                panic!("{apt} {root} {sudo} must not install")
            };
            assert!(next.contains(word), "{next}");
        }
    }

    #[test]
    fn the_effective_user_counts() {
        assert_eq!(effective_user("Name:\tx\nUid:\t1000\t0\t1000\t1000\n"), Some(0));
        assert_eq!(effective_user("Name:\tx\n"), None);
    }
}
