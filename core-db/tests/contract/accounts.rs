//! Accounts, applications and read states.

use rookery_core_db::{ReadState, UniqueKey, Write};
use rookery_model::user::Application;
use rookery_model::{ApplicationId, ChannelId, MessageId, Timestamp, UserId};

use crate::Factory;
use crate::sample::account;

pub async fn accounts_are_found_by_id_and_by_names(factory: impl Factory) {
    let store = factory.open().await;
    let (ada, bob) = (account(1, "ada"), account(2, "bob"));
    for account in [&ada, &bob] {
        let email = account.email.clone().unwrap();
        let id = account.user.id.get();
        assert_eq!(store.claim(UniqueKey::Email(email), id).await, Ok(Ok(())));
        assert_eq!(store.claim(UniqueKey::Username(account.user.username.clone()), id).await, Ok(Ok(())));
        store.write(vec![Write::PutAccount(account.clone())]).await.unwrap();
    }
    assert_eq!(store.account(UserId::new(1)).await, Ok(Some(ada.clone())));
    assert_eq!(store.account(UserId::new(3)).await, Ok(None));
    assert_eq!(store.account_by_email("Ada@Example.COM").await, Ok(Some(ada.clone())));
    assert_eq!(store.account_by_username("BOB").await, Ok(Some(bob.clone())));
    assert_eq!(store.account_by_username("ada@example.com").await, Ok(None));
    let users = store.users(&[UserId::new(2), UserId::new(9), UserId::new(1)]).await.unwrap();
    assert_eq!(users, [bob.user, ada.user]);
}

fn application(id: u64, owner: u64) -> Application {
    Application {
        id: ApplicationId::new(id),
        name: format!("app {id}"),
        description: String::new(),
        icon: None,
        owner_id: UserId::new(owner),
        bot_public: true,
        bot_require_code_grant: false,
        flags: 1 << 18,
        verify_key: "00".into(),
        has_bot: true,
        created_at: Timestamp(5),
    }
}

pub async fn applications_follow_their_owner(factory: impl Factory) {
    let store = factory.open().await;
    let applications = [application(10, 1), application(11, 2), application(12, 1)];
    store.write(applications.iter().cloned().map(Write::PutApplication).collect()).await.unwrap();
    assert_eq!(store.application(ApplicationId::new(11)).await, Ok(Some(applications[1].clone())));
    assert_eq!(store.applications_of(UserId::new(1)).await, Ok(vec![applications[0].clone(), applications[2].clone()]));

    // A new owner: the row in the index of the old one must not show it.
    let moved = application(10, 2);
    store.write(vec![Write::PutApplication(moved.clone())]).await.unwrap();
    assert_eq!(store.applications_of(UserId::new(1)).await, Ok(vec![applications[2].clone()]));
    assert_eq!(store.applications_of(UserId::new(2)).await, Ok(vec![moved, applications[1].clone()]));

    let delete = Write::DeleteApplication { application_id: ApplicationId::new(11), owner_id: UserId::new(2) };
    store.write(vec![delete]).await.unwrap();
    assert_eq!(store.application(ApplicationId::new(11)).await, Ok(None));
    assert_eq!(store.applications_of(UserId::new(2)).await.unwrap().len(), 1);
}

pub async fn read_states_are_kept_by_user(factory: impl Factory) {
    let store = factory.open().await;
    let state = |user: u64, channel: u64, message: u64| ReadState {
        user_id: UserId::new(user),
        channel_id: ChannelId::new(channel),
        last_message_id: Some(MessageId::new(message)),
        mention_count: 2,
        last_pin_timestamp: None,
    };
    let states = [state(1, 5, 100), state(1, 6, 200), state(2, 5, 300)];
    store.write(states.iter().cloned().map(Write::PutReadState).collect()).await.unwrap();
    store.write(vec![Write::PutReadState(state(1, 5, 150))]).await.unwrap();
    assert_eq!(store.read_states(UserId::new(1)).await, Ok(vec![state(1, 5, 150), state(1, 6, 200)]));
    assert_eq!(store.read_state(UserId::new(2), ChannelId::new(5)).await, Ok(Some(states[2].clone())));
    assert_eq!(store.read_state(UserId::new(2), ChannelId::new(6)).await, Ok(None));
}
