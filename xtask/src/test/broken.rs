//! Objects damaged on purpose, for tests of the kernel's reader.
use crate::error::{Error, Result};
use crate::spindle::build::Built;

/// Makes `NAME: HOW of SPINDLE` from the built spindles: the name and the damaged bytes.
///
/// `truncated`: the first half only. `garbled`: 4 KiB behind the ELF header are turned over, bit by bit. `empty`: no byte.
/// `noise`: bytes that were never an object.
pub fn make(order: &str, spindles: &[Built]) -> Result<(String, Vec<u8>)> {
    let Some((name, how, of)) = split(order) else {
        return Err(Error::new(
            format!("broken: {order:?} is not `NAME: HOW of SPINDLE`"),
            "write for example `broken: half: truncated of greeter`",
        ));
    };
    let Some(spindle) = spindles.iter().find(|spindle| spindle.name == of) else {
        return Err(Error::new(format!("there is no spindle {of:?} to break"), "name one of extensions/"));
    };
    let whole = crate::files::read(&spindle.object)?;
    let bytes = damage(how, whole).ok_or_else(|| {
        Error::new(format!("nothing is broken by {how:?}"), "write truncated, garbled, empty or noise")
    })?;
    Ok((name.to_string(), bytes))
}

fn split(order: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = order.split_once(": ")?;
    let (how, of) = rest.split_once(" of ")?;
    Some((name, how, of))
}

fn damage(how: &str, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    match how {
        "truncated" => bytes.truncate(bytes.len() / 2),
        "garbled" => bytes.iter_mut().skip(64).take(4096).for_each(|byte| *byte = !*byte),
        "empty" => bytes.clear(),
        "noise" => {
            // A linear congruence (Knuth, MMIX): the same noise each time.
            let mut state = 1_u64;
            for byte in &mut bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
        }
        _ => return None,
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{damage, split};

    #[test]
    fn every_damage_damages() {
        let whole: Vec<u8> = (0..8192_u32).map(|number| number as u8).collect();
        for how in ["truncated", "garbled", "empty", "noise"] {
            assert_ne!(damage(how, whole.clone()).unwrap(), whole, "{how}");
        }
        assert_eq!(damage("kindly", whole), None);
    }

    #[test]
    fn orders_are_read() {
        assert_eq!(split("half: truncated of greeter"), Some(("half", "truncated", "greeter")));
        assert_eq!(split("half of greeter"), None);
    }
}
