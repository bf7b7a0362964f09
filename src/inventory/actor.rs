//! Who does an act of administration, as the record names it.

use std::fmt;

/// `uid=0 login=ann sudo_user=-`: the uid is the kernel's word, the rest is what the caller says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Actor(Box<str>);

/// Longest login name that is kept, in bytes.
const LOGIN_BYTES_MAX: usize = 64;

impl Actor {
    /// What the gate does by itself.
    pub fn gate() -> Self {
        Self("onegate".into())
    }

    /// What the gate does by itself against loops.
    pub fn loop_brake() -> Self {
        Self("onegate loop_brake".into())
    }

    /// Someone on the admin socket, or at the CLI beside the store.
    pub fn local(uid: u32, login: Option<&str>, sudo_user: Option<&str>) -> Self {
        let (login, sudo_user) = (hint(login), hint(sudo_user));
        Self(format!("uid={uid} login={login} sudo_user={sudo_user}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An unverified name; `-` unless it is one word that cannot be mistaken for another field.
fn hint(name: Option<&str>) -> &str {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-@\\".contains(&b);
    let fits = |name: &&str| (1..=LOGIN_BYTES_MAX).contains(&name.len()) && name.bytes().all(good);
    name.filter(fits).unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_cannot_forge_a_field() {
        let check = |login: &str, expected: &str| {
            assert_eq!(Actor::local(7, Some(login), None).as_str(), expected);
        };
        check("ann", "uid=7 login=ann sudo_user=-");
        check("ann uid=0", "uid=7 login=- sudo_user=-");
        check("a=b", "uid=7 login=- sudo_user=-");
        check("", "uid=7 login=- sudo_user=-");
        check(&"a".repeat(65), "uid=7 login=- sudo_user=-");
    }
}
