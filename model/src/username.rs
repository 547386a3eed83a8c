//! What a username may be: people's are unique and of a small alphabet, bots are called as they like.

use std::borrow::Cow;

/// Why a name cannot be a username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsernameMistake {
    pub code: &'static str,
    pub message: Cow<'static, str>,
}

impl UsernameMistake {
    const fn new(code: &'static str, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message) }
    }
}

/// Names that would be mistaken for something else.
const RESERVED: [&str; 4] = ["everyone", "here", "system", "rookery"];
/// What no name contains, because mentions, tags and code are written with it.
const FORBIDDEN_PARTS: [&str; 4] = ["@", "#", ":", "```"];

/// Checks any account's name whose length is right; upper case and all scripts are fine.
pub fn check(name: &str) -> Result<(), UsernameMistake> {
    if let Some(part) = FORBIDDEN_PARTS.iter().find(|part| name.contains(**part)) {
        let message = format!("Username cannot contain \"{part}\".").into();
        return Err(UsernameMistake { code: "USERNAME_INVALID_CONTAINS", message });
    }
    if name.chars().any(char::is_control) {
        return Err(UsernameMistake::new("USERNAME_INVALID_CHARACTERS", "Username cannot contain control characters."));
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(UsernameMistake::new("USERNAME_RESERVED", "This username is reserved."));
    }
    Ok(())
}

/// Checks a person's name, lower-cased, whose length is right.
pub fn check_unique(name: &str) -> Result<(), UsernameMistake> {
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')) {
        return Err(UsernameMistake::new(
            "USERNAME_INVALID_CHARACTERS",
            "Please only use numbers, letters, underscores _ , or periods.",
        ));
    }
    if name.contains("..") {
        return Err(UsernameMistake::new(
            "USERNAME_INVALID_CONTAINS",
            "Username cannot contain two consecutive periods.",
        ));
    }
    check(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people() {
        assert_eq!(check_unique("a.b_9"), Ok(()));
        for bad in ["a..b", "A", "a-b", "ä", "here", "a b", "a@b"] {
            assert!(check_unique(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_bots() {
        for good in ["Parrot", "Café Bot №5", "日本語", "a..b", "everyone else"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["a@b", "a#1", "::", "```", "Everyone", "HERE", "a\u{0}b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
