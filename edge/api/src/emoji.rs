//! Emojis as paths and bodies name them.
//!
//! A Unicode emoji is checked against the grammar of UTS #51, section 1.4.9, and brought into its fully-qualified form,
//! so that a heart with and without its variation selector is one reaction. Whether a font draws a sequence is not
//! asked: the list of those grows every year.

use rookery_model::call::EmojiRef;
use unicode_properties::emoji::{is_regional_indicator, is_tag_character};
use unicode_properties::{EmojiStatus, UnicodeEmoji};

const ZWJ: char = '\u{200D}';
const EMOJI_SELECTOR: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';
const CANCEL_TAG: char = '\u{E007F}';
const BLACK_FLAG: char = '\u{1F3F4}';
/// The longest in use, a kiss with two skin tones, has ten.
const MAX_CHARS: usize = 16;
/// Clients that do not know a name send a placeholder of one character.
const CUSTOM_NAME_CHARS: std::ops::RangeInclusive<usize> = 1..=32;

/// Reads an emoji: the characters themselves, or `name:id` or `a:name:id` of a custom one.
pub fn parse(text: &str) -> Option<EmojiRef> {
    match text.rsplit_once(':') {
        Some((name, id)) => parse_custom(name, id),
        None => qualify(text).map(EmojiRef::Unicode),
    }
}

fn parse_custom(name: &str, id: &str) -> Option<EmojiRef> {
    let (animated, name) = match name.split_once(':') {
        Some(("a", name)) => (true, name),
        Some(("", name)) => (false, name),
        Some(_) => return None,
        None => (false, name),
    };
    let is_name = CUSTOM_NAME_CHARS.contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let id = id.parse().ok()?;
    is_name.then(|| EmojiRef::Custom { id, name: name.to_owned(), animated })
}

/// The fully-qualified form of a Unicode emoji; `None` if it is none.
pub fn qualify(text: &str) -> Option<String> {
    if text.chars().nth(MAX_CHARS).is_some() {
        return None;
    }
    let mut rest = Rest(text);
    let mut out = String::with_capacity(text.len() + EMOJI_SELECTOR.len_utf8());
    if text.starts_with(is_regional_indicator) {
        out.push(rest.take(is_regional_indicator)?);
        out.push(rest.take(is_regional_indicator)?);
        return rest.is_at_end().then_some(out);
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '#' | '*')) {
        out.push(rest.take(|_| true)?);
        rest.take(|c| c == EMOJI_SELECTOR);
        out.push(EMOJI_SELECTOR);
        out.push(rest.take(|c| c == KEYCAP)?);
        return rest.is_at_end().then_some(out);
    }
    loop {
        element(&mut rest, &mut out)?;
        if rest.is_at_end() {
            return Some(out);
        }
        out.push(rest.take(|c| c == ZWJ)?);
    }
}

/// One element of a joined sequence: a base, its modifier or selector, its tags.
fn element(rest: &mut Rest<'_>, out: &mut String) -> Option<()> {
    let base = rest.take(is_base)?;
    out.push(base);
    // A modifier replaces the selector, and some keyboards send both.
    rest.take(|c| c == EMOJI_SELECTOR);
    if let Some(modifier) = rest.take(is_modifier) {
        if !is_modifier_base(base) {
            return None;
        }
        out.push(modifier);
    } else if !has_emoji_presentation(base) {
        out.push(EMOJI_SELECTOR);
    }
    if base == BLACK_FLAG && rest.0.starts_with(is_tag_character) {
        let mut tags = 0;
        while let Some(tag) = rest.take(|c| is_tag_character(c) && c != CANCEL_TAG) {
            out.push(tag);
            tags += 1;
        }
        out.push(rest.take(|c| c == CANCEL_TAG)?);
        if tags == 0 {
            return None;
        }
    }
    Some(())
}

/// What is left of a text.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let first = self.0.chars().next().filter(|c| wanted(*c))?;
        self.0 = &self.0[first.len_utf8()..];
        Some(first)
    }

    const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// Characters that can stand as an emoji of their own.
fn is_base(c: char) -> bool {
    !is_regional_indicator(c)
        && matches!(
            c.emoji_status(),
            EmojiStatus::EmojiPresentation
                | EmojiStatus::EmojiModifierBase
                | EmojiStatus::EmojiPresentationAndModifierBase
                | EmojiStatus::EmojiOther
                | EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent
        )
}

fn is_modifier(c: char) -> bool {
    c.emoji_status() == EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent
}

fn is_modifier_base(c: char) -> bool {
    matches!(c.emoji_status(), EmojiStatus::EmojiModifierBase | EmojiStatus::EmojiPresentationAndModifierBase)
}

/// Whether it is drawn in colour without a selector.
fn has_emoji_presentation(c: char) -> bool {
    matches!(
        c.emoji_status(),
        EmojiStatus::EmojiPresentation
            | EmojiStatus::EmojiPresentationAndModifierBase
            | EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emojis_are_brought_into_one_form() {
        for (given, qualified) in [
            ("👍", "👍"),
            ("👍🏽", "👍🏽"),
            ("\u{2764}", "\u{2764}\u{FE0F}"),
            ("\u{2764}\u{FE0F}", "\u{2764}\u{FE0F}"),
            ("👍\u{FE0F}", "👍"),
            ("🇩🇪", "🇩🇪"),
            ("1\u{20E3}", "1\u{FE0F}\u{20E3}"),
            ("#\u{FE0F}\u{20E3}", "#\u{FE0F}\u{20E3}"),
            ("👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"),
            ("🏳\u{200D}🌈", "🏳\u{FE0F}\u{200D}🌈"),
            ("👩🏻‍❤️‍💋‍👨🏻", "👩🏻‍❤️‍💋‍👨🏻"),
            ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
            ("🏴", "🏴"),
            ("©", "©\u{FE0F}"),
        ] {
            assert_eq!(qualify(given).as_deref(), Some(qualified), "{given}");
        }
    }

    #[test]
    fn other_text_is_no_emoji() {
        let endless = "👍\u{200D}".repeat(20) + "👍";
        for bad in [
            "",
            "a",
            "1",
            "#",
            "thumbsup",
            "👍👍",
            "👍a",
            "\u{200D}",
            "\u{FE0F}",
            "🇩",
            "🇩🇪🇩",
            "👍\u{200D}",
            "🏴\u{E007F}",
            "🏴\u{E0067}",
            "❤🏽",
            "\u{FFFD}",
            "\u{20E3}",
            " 👍",
            &endless,
        ] {
            assert_eq!(qualify(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn custom_emojis_have_a_name_and_an_id() {
        let custom = |name: &str, animated| {
            Some(EmojiRef::Custom {
                id: rookery_model::EmojiId::new(41_771_983_429_993_937),
                name: name.into(),
                animated,
            })
        };
        assert_eq!(parse("LUL:41771983429993937"), custom("LUL", false));
        assert_eq!(parse(":LUL:41771983429993937"), custom("LUL", false));
        assert_eq!(parse("a:LUL:41771983429993937"), custom("LUL", true));
        for bad in ["LUL:", ":1", "LUL:abc", "b:LUL:1", "L L:1", "LUL:-1", "a:b:LUL:1", ":", "::"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
