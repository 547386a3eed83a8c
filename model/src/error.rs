//! API errors: the code, the HTTP status and the fields that were wrong.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $message:literal;)*) => {
        /// The API's error codes that Rookery gives, each with its status and message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name),* }
        impl ErrorCode {
            /// The JSON error code.
            pub const fn code(self) -> u32 { match self { $(Self::$name => $code),* } }
            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status),* } }
            /// The message that goes with it.
            pub const fn message(self) -> &'static str { match self { $(Self::$name => $message),* } }
        }
    };
}

error_codes! {
    /// 401 without a JSON code of its own.
    Unauthorized = 0, 401, "401: Unauthorized";
    /// 404 for a path that is no route.
    NotFound = 0, 404, "404: Not Found";
    MethodNotAllowed = 0, 405, "405: Method Not Allowed";
    /// A fault of ours.
    Internal = 0, 500, "500: Internal Server Error";
    /// Overload, a drained region, a store that takes no writes: nothing was done, try again.
    Unavailable = 0, 503, "503: Service Unavailable";
    DeadlineExceeded = 0, 504, "504: Gateway Timeout";
    RateLimited = 0, 429, "You are being rate limited.";
    UnknownAccount = 10001, 404, "Unknown Account";
    UnknownApplication = 10002, 404, "Unknown Application";
    UnknownChannel = 10003, 404, "Unknown Channel";
    UnknownGuild = 10004, 404, "Unknown Guild";
    UnknownInvite = 10006, 404, "Unknown Invite";
    UnknownMember = 10007, 404, "Unknown Member";
    UnknownMessage = 10008, 404, "Unknown Message";
    UnknownOverwrite = 10009, 404, "Unknown Overwrite";
    UnknownRole = 10011, 404, "Unknown Role";
    UnknownToken = 10012, 404, "Unknown Token";
    UnknownUser = 10013, 404, "Unknown User";
    UnknownEmoji = 10014, 400, "Unknown Emoji";
    UnknownWebhook = 10015, 404, "Unknown Webhook";
    UnknownBan = 10026, 404, "Unknown Ban";
    UnknownVoiceState = 10065, 404, "Unknown Voice State";
    UnknownStageInstance = 10067, 404, "Unknown Stage Instance";
    BotsCannotUse = 20001, 403, "Bots cannot use this endpoint";
    OnlyBotsCanUse = 20002, 403, "Only bots can use this endpoint";
    ApplicationOwnerOnly = 20012, 403, "You are not authorized to perform this action on this application";
    SlowmodeRateLimited = 20016, 429, "This action cannot be performed due to slowmode rate limit";
    MaxGuilds = 30001, 400, "Maximum number of guilds reached (100)";
    MaxPins = 30003, 400, "Maximum number of pins reached (50)";
    MaxRoles = 30005, 400, "Maximum number of guild roles reached (250)";
    MaxReactions = 30010, 400, "Maximum number of reactions reached (20)";
    MaxChannels = 30013, 400, "Maximum number of guild channels reached (500)";
    MaxInvites = 30016, 400, "Maximum number of invites reached (1000)";
    MaxMembers = 30019, 400, "Maximum number of server members reached";
    BodyTooLarge = 40005, 413, "Request entity too large";
    UserBanned = 40007, 403, "The user is banned from this guild";
    MissingAccess = 50001, 403, "Missing Access";
    /// Mute and deaf of somebody who is in no voice channel.
    TargetNotInVoice = 40032, 400, "Target user is not connected to voice.";
    CannotExecuteOnDm = 50003, 403, "Cannot execute action on a DM channel";
    CannotEditOthersMessage = 50005, 403, "Cannot edit a message authored by another user";
    EmptyMessage = 50006, 400, "Cannot send an empty message";
    CannotMessageUser = 50007, 403, "Cannot send messages to this user";
    CannotMessageNonText = 50008, 400, "Cannot send messages in a non-text channel";
    MissingPermissions = 50013, 403, "You lack permissions to perform that action";
    InvalidToken = 50014, 401, "Invalid authentication token provided";
    BulkDeleteCount = 50016, 400, "Provided too few or too many messages to delete. Must provide at least 2 and fewer than 100 messages to delete";
    PinWrongChannel = 50019, 400, "A message can only be pinned to the channel it was sent in";
    InvalidInvite = 50020, 400, "Invite code was either invalid or taken";
    CannotExecuteOnSystemMessage = 50021, 403, "Cannot execute action on a system message";
    WrongChannelType = 50024, 400, "Cannot execute action on this channel type";
    InvalidRole = 50028, 400, "Invalid Role";
    InvalidRecipient = 50033, 400, "Invalid Recipient(s)";
    BulkDeleteTooOld = 50034, 400, "A message provided was too old to bulk delete";
    InvalidFormBody = 50035, 400, "Invalid Form Body";
    InviteToGuildWithoutBot = 50036, 400, "An invite was accepted to a guild the application's bot is not in";
    InvalidApiVersion = 50041, 400, "Invalid API version provided";
    /// An owner who tries to leave their guild.
    InvalidGuild = 50055, 400, "Invalid Guild";
    StageAlreadyOpen = 150006, 400, "The Stage is already open";
    CannotReplyWithoutHistory = 160002, 403, "Cannot reply without permission to read message history";
    MalformedJson = 50109, 400, "The request body contains invalid JSON.";
    ReactionBlocked = 90001, 403, "Reaction was blocked";
    UnsupportedMediaType = 50068, 415, "Unsupported content type";
}

/// A step on the way to a field in a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathSegment {
    /// A place in an array.
    Index(usize),
    /// A name in an object.
    Key(Cow<'static, str>),
}

impl From<&'static str> for PathSegment {
    fn from(key: &'static str) -> Self {
        Self::Key(Cow::Borrowed(key))
    }
}
impl From<usize> for PathSegment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// One thing wrong with one field: `BASE_TYPE_REQUIRED`, "This field is required".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    pub path: Vec<PathSegment>,
    pub code: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// Builds one from anything that makes a path.
    pub fn new(
        path: impl IntoIterator<Item = impl Into<PathSegment>>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { path: path.into_iter().map(Into::into).collect(), code: code.into(), message: message.into() }
    }
}

/// What a 429 says beside its message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryAfter {
    /// Seconds, with milliseconds behind the point.
    pub seconds: f64,
    /// Whether the global limit was hit, not a route's.
    pub global: bool,
}

/// An error as the API answers it; `errors` becomes the nested tree of `{"_errors": […]}` at the edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{status} {code}: {message}")]
pub struct ApiError {
    pub status: u16,
    pub code: u32,
    pub message: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
}

impl ApiError {
    /// An "Invalid Form Body" with these fields.
    pub fn invalid_form(errors: Vec<FieldError>) -> Self {
        Self { errors, ..ErrorCode::InvalidFormBody.into() }
    }
    /// An "Invalid Form Body" with one field.
    pub fn invalid_field(
        path: impl IntoIterator<Item = impl Into<PathSegment>>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid_form(vec![FieldError::new(path, code, message)])
    }
    /// Whether it is this error.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.code() && self.status == code.status()
    }
    /// A 429 with its wait.
    pub fn rate_limited(code: ErrorCode, seconds: f64, global: bool) -> Self {
        Self { retry_after: Some(RetryAfter { seconds, global }), ..code.into() }
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self {
            status: code.status(),
            code: code.code(),
            message: Cow::Borrowed(code.message()),
            errors: Vec::new(),
            retry_after: None,
        }
    }
}
