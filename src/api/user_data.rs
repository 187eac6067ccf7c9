//! User data of instances, as far as the agent of ECS reads them: the cluster that an instance registers with, and how much memory it holds
//! back.
//!
//! **Source:** ecs-semantics §3.1.

use crate::model::units::MemoryMib;

/// The cluster that the lines of an ECS instance's user data name, which are in base64.
pub(super) fn cluster_in_user_data(user_data: &str) -> Option<String> {
    variable(user_data, "ECS_CLUSTER=")
}

/// `ECS_RESERVED_MEMORY` of such lines, in MiB; nothing where it is no number.
pub(super) fn reserved_memory_in_user_data(user_data: &str) -> MemoryMib {
    let value = variable(user_data, "ECS_RESERVED_MEMORY=").and_then(|value| value.parse().ok());
    MemoryMib(value.unwrap_or_default())
}

fn variable(user_data: &str, assignment: &str) -> Option<String> {
    let text = String::from_utf8(from_base64(user_data)?).ok()?;
    let value = text.split(assignment).nth(1)?;
    let end = value.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_\"'".contains(letter)));
    let name = value[..end.unwrap_or(value.len())].trim_matches(['"', '\'']);
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// **Source:** RFC 4648, section 4; line ends and padding are skipped.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut buffer, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let digit = DIGITS.iter().position(|digit| *digit == letter)?;
        buffer = buffer << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that ECS' own manual has for the user data of a container instance.
    #[test]
    fn user_data_name_a_cluster() {
        let check = |lines: &str, expected: Option<&str>| {
            assert_eq!(cluster_in_user_data(lines).as_deref(), expected);
        };
        // #!/bin/bash\necho ECS_CLUSTER=shop >> /etc/ecs/ecs.config\n
        check("IyEvYmluL2Jhc2gKZWNobyBFQ1NfQ0xVU1RFUj1zaG9wID4+IC9ldGMvZWNzL2Vjcy5jb25maWcK", Some("shop"));
        check("IyEvYmluL2Jhc2gK", None);
        check("not base64!", None);
        // ECS_CLUSTER=shop\nECS_RESERVED_MEMORY=256\n
        let reserved = "RUNTX0NMVVNURVI9c2hvcApFQ1NfUkVTRVJWRURfTUVNT1JZPTI1Ngo=";
        check(reserved, Some("shop"));
        assert_eq!(reserved_memory_in_user_data(reserved), MemoryMib(256));
        assert_eq!(reserved_memory_in_user_data("IyEvYmluL2Jhc2gK"), MemoryMib(0));
    }
}
