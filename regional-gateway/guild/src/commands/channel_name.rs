//! Names of channels.

use rookery_model::channel::ChannelType;
use rookery_model::{ApiError, limits};

/// A channel's name as it is kept: names of text channels are lower-cased, spaces in them become dashes.
pub(crate) fn channel_name(kind: ChannelType, wanted: &str) -> Result<String, ApiError> {
    let trimmed = wanted.trim();
    let name = match kind {
        ChannelType::GuildText | ChannelType::GuildAnnouncement => {
            trimmed.split_whitespace().collect::<Vec<_>>().join("-").to_lowercase()
        }
        _ => trimmed.to_owned(),
    };
    // Lower-casing can make a name longer.
    let chars = name.chars().count();
    if chars == 0 {
        return Err(ApiError::invalid_field(["name"], "BASE_TYPE_REQUIRED", "This field is required"));
    }
    if chars > limits::NAME_MAX_CHARS {
        let message = format!("Must be between 1 and {} in length.", limits::NAME_MAX_CHARS);
        return Err(ApiError::invalid_field(["name"], "BASE_TYPE_BAD_LENGTH", message));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_are_slugs_and_voice_names_are_not() {
        assert_eq!(channel_name(ChannelType::GuildText, "  My  Fine Channel ").unwrap(), "my-fine-channel");
        assert_eq!(channel_name(ChannelType::GuildVoice, " My Voice ").unwrap(), "My Voice");
        assert!(channel_name(ChannelType::GuildText, " \t").is_err());
        assert!(channel_name(ChannelType::GuildText, &"İ".repeat(100)).is_err());
    }
}
