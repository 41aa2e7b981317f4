//! The kernel's part: a machine that runs one console command and prints lines of JSON.
use super::Suite;
use super::measurement::{self, Measurement, Mode};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::progress::Step;
use crate::qemu::{Accelerator, Ending, Machine};
use crate::shell::{self, Shell};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use tinyjson::JsonValue;

/// How long one machine may run.
const TIMEOUT: Duration = Duration::from_secs(300);
/// What makes the time-stamp counter count instructions, the same in each run.
const ICOUNT: [&str; 6] =
    ["-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01T00:00:00,clock=vm", "-seed", "1"];

/// A round of a case on several cores at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its number, by which the recorder knows it.
    pub number: u32,
    /// How many times each core did it.
    pub times: u64,
    /// A sample for each core, by time.
    pub measurement: Measurement,
}

/// A machine for measuring.
pub fn machine(qemu: &Path, image: &Image, cores: u32, mode: Mode, command: &str) -> Machine {
    let is_counting = mode == Mode::Icount;
    Machine {
        qemu: qemu.to_path_buf(),
        image: image.clone(),
        cores,
        memory: "512M".into(),
        accelerator: if is_counting { Accelerator::OneThread } else { Accelerator::Tcg },
        command_line: format!(" -- {command}; halt"),
        gdb: false,
        further: if is_counting { ICOUNT.map(OsString::from).to_vec() } else { Vec::new() },
    }
}

/// The options that make a difference to the figures, as a command line has them.
pub fn flags(machine: &Machine) -> String {
    let mut words = vec![format!(
        "-accel {} -smp {} -m {}",
        machine.accelerator.options(),
        machine.cores,
        machine.memory
    )];
    words.extend(machine.further.iter().map(|word| shell::quote(word)));
    words.join(" ")
}

/// Each case on one core.
pub fn costs(shell: Shell, machine: &Machine, suite: Suite, mode: Mode) -> Result<Vec<Measurement>> {
    let step = format!("measuring in the kernel, {}", mode.name());
    let lines = run(shell, machine, &step)?;
    let all: Vec<_> = lines.iter().filter_map(|value| Measurement::read(suite.name(), mode, value)).collect();
    some(all)
}

/// The parallel cases, phase by phase, and whatever else was printed.
pub fn phases(
    shell: Shell,
    machine: &Machine,
    suite: Suite,
    step: &str,
) -> Result<(Vec<Phase>, Vec<JsonValue>)> {
    let lines = run(shell, machine, step)?;
    let phases = some(lines.iter().filter_map(|line| phase(suite, line)).collect())?;
    Ok((phases, lines))
}

fn phase(suite: Suite, value: &JsonValue) -> Option<Phase> {
    let object = value.get::<HashMap<String, JsonValue>>()?;
    Some(Phase {
        number: *object.get("phase")?.get::<f64>()? as u32,
        times: *object.get("times")?.get::<f64>()? as u64,
        measurement: Measurement::read(suite.name(), Mode::Tcg, object.get("of")?)?,
    })
}

fn some<T>(all: Vec<T>) -> Result<Vec<T>> {
    if all.is_empty() {
        return Err(Error::new("the kernel has printed no figures", "see what it says: --verbose"));
    }
    Ok(all)
}

/// Boots it and gives the lines of JSON that it prints.
pub fn run(shell: Shell, machine: &Machine, step: &str) -> Result<Vec<JsonValue>> {
    let step = Step::begin(step);
    let details = step.details();
    let (mut output, mut told) = (Vec::new(), 0);
    let ending = machine.run_with_output(shell, Some(TIMEOUT), &mut |piece| {
        output.extend_from_slice(piece);
        // The last whole line says what was measured last.
        let Some(end) = output.iter().rposition(|byte| *byte == b'\n') else { return };
        let fresh = String::from_utf8_lossy(&output[told..end]).into_owned();
        told = end;
        if shell.verbose {
            eprint!("{fresh}");
        }
        if let (Some(details), Some(line)) = (&details, fresh.lines().last()) {
            // The step may already have ended; then nobody needs to know.
            let _ = details.send(line.to_string());
        }
    })?;
    // In this order: the step waits until nobody can say anything more.
    drop(details);
    drop(step);
    let output = String::from_utf8_lossy(&output);
    match ending {
        Ending::Success => Ok(output.lines().filter_map(measurement::parse).collect()),
        Ending::Interrupted => Err(Error::interruption()),
        other => {
            eprint!("{output}");
            Err(other.check().err().unwrap_or_else(Error::told))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{flags, machine, phase};
    use crate::bench::Suite;
    use crate::bench::measurement::{Mode, parse};
    use crate::image::Image;
    use std::path::Path;

    #[test]
    fn flags_tell_how_it_counts() {
        let image = Image { kernel: "k".into(), archive: "a".into() };
        let machine = |mode| machine(Path::new("/q"), &image, 2, mode, "bench dispatch raw");
        let counting = flags(&machine(Mode::Icount));
        for word in ["thread=single", "-icount shift=0,sleep=off", "clock=vm", "-seed 1", "-smp 2"] {
            assert!(counting.contains(word), "{counting}");
        }
        assert!(!flags(&machine(Mode::Tcg)).contains("-icount"));
        assert_eq!(machine(Mode::Tcg).command_line, " -- bench dispatch raw; halt");
    }

    #[test]
    fn phases_are_read() {
        let line = r#"{"phase":3,"times":2000,"of":{"case":"loop","cores":2,"samples":[1.0,2.0]}}"#;
        let phase = phase(Suite::Dispatch, &parse(line).unwrap()).unwrap();
        assert_eq!((phase.number, phase.times, phase.measurement.cores), (3, 2000, 2));
        assert_eq!(phase.measurement.samples, [1.0, 2.0]);
        assert!(
            super::phase(Suite::Dispatch, &parse(r#"{"case":"loop","cores":2,"samples":[1.0]}"#).unwrap())
                .is_none()
        );
    }
}
