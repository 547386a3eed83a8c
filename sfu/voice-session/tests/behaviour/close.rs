//! Which codes end a session, and which leave it to RESUME.

use crate::common::*;
use rookery_model::voice::VoiceCloseCode;
use rookery_voice_session::{EndReason, Event};
use serde_json::json;

#[test]
fn a_code_ends_the_session_unless_clients_resume_after_it() {
    for code in VoiceCloseCode::ALL {
        let mut session = session(8);
        send(&mut session, 1, &json!({"op": 3, "d": {"t": 1}}));
        session.close(code);
        session.close(VoiceCloseCode::BadRequest);
        let resumes = matches!(code, VoiceCloseCode::SessionTimeout | VoiceCloseCode::VoiceServerCrashed);
        let mut expected = vec![Event::Close(code)];
        expected.extend((!resumes).then_some(Event::Ended(EndReason::Closed(code))));
        assert_eq!(events(&mut session), expected, "once, and the first code counts");
        assert_eq!(ops(&mut session), [6], "an answer that waited goes out before the close frame");
        send(&mut session, 2, &json!({"op": 3, "d": {"t": 1}}));
        assert_eq!((session.poll_transmit(), session.is_attached(), session.is_ended()), (None, false, !resumes));
        session.handle_detached(3);
        assert_eq!(session.resume(connect(8), Some(1)).is_ok(), resumes, "{code:?}");
        assert!(!code.reason().is_empty() && (4_001..=4_022).contains(&code.code()));
    }
}

#[test]
fn a_client_that_closes_normally_leaves_and_one_that_breaks_off_may_come_back() {
    for code in [1_000, 1_001] {
        let mut session = session(8);
        session.handle_client_close(1, Some(code));
        assert_eq!(events(&mut session), [Event::Ended(EndReason::ClosedByClient)]);
    }
    // @discordjs/voice closes without a code when heartbeats are not answered, and then resumes.
    for code in [None, Some(1_005), Some(1_006), Some(4_000)] {
        let mut session = session(8);
        session.handle_client_close(1, code);
        assert!(!session.is_ended());
        assert!(session.resume(connect(8), Some(1)).is_ok());
    }
}

#[test]
fn who_is_put_out_while_away_does_not_come_back() {
    let mut session = session(8);
    session.handle_detached(1);
    session.close(VoiceCloseCode::VoiceServerCrashed);
    assert!(!session.is_ended(), "that one may be resumed anyway");
    session.close(VoiceCloseCode::Disconnected);
    assert_eq!(events(&mut session), [Event::Ended(EndReason::Closed(VoiceCloseCode::Disconnected))]);
}
