//! Accounts over calls: names, what a retry is told, and who counts as one address.

mod common;

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use common::{ALL_PRIVILEGED, World};
use rookery_model::call::{Call, CallRequest, Credential, Login, ModifyCurrentUser, Register, Reply};
use rookery_model::user::CurrentUser;
use rookery_model::{ApiError, UserId};
use rookery_region::calls::{CallOrigin, answer};
use rookery_region::operations::{OperationContext, OperationId, Operations};

const PASSWORD: &str = "correct horse battery";

/// A point of presence, whose clock may run ahead.
struct Edge<'a> {
    world: &'a World,
    ahead_ms: u64,
    client_ip: IpAddr,
}

impl<'a> Edge<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, ahead_ms: 0, client_ip: IpAddr::from([192, 0, 2, 1]) }
    }

    async fn ask(&self, id: OperationId, credential: Credential, call: Call) -> Result<Reply, ApiError> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as u64;
        let origin = CallOrigin {
            operation_id: id,
            client_ip: Some(self.client_ip),
            unix_ms: now_ms + self.ahead_ms,
            deadline_ms: 5_000,
            is_forwarded: false,
        };
        answer(self.world.region(), origin, CallRequest { credential, reason: None, call }).await.result
    }

    /// Signs up as nobody else; the token.
    async fn register(&self, name: &str) -> Result<(UserId, String), ApiError> {
        let register = Register {
            email: format!("{name}@example.org"),
            username: name.into(),
            password: PASSWORD.into(),
            global_name: None,
        };
        match self.ask(new_id(), Credential::None, Call::Register(register)).await? {
            Reply::Token { token, user_id } => Ok((user_id, token)),
            other => panic!("{other:?}"),
        }
    }

    async fn login(&self, login: &str) -> Result<UserId, ApiError> {
        let call = Call::Login(Login { login: login.into(), password: PASSWORD.into() });
        match self.ask(new_id(), Credential::None, call).await? {
            Reply::Token { user_id, .. } => Ok(user_id),
            other => panic!("{other:?}"),
        }
    }

    async fn modify(&self, token: &str, bot: bool, changes: ModifyCurrentUser) -> Result<CurrentUser, ApiError> {
        let credential = Credential::Token { token: token.into(), bot };
        match self.ask(new_id(), credential, Call::ModifyCurrentUser(changes)).await? {
            Reply::CurrentUser(user) => Ok(*user),
            other => panic!("{other:?}"),
        }
    }
}

fn new_id() -> OperationId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}

async fn never() -> Result<Reply, ApiError> {
    panic!("it ran a second time")
}

fn named(name: &str) -> ModifyCurrentUser {
    ModifyCurrentUser { username: Some(name.into()), password: Some(PASSWORD.into()), ..ModifyCurrentUser::default() }
}

fn field_code(error: &ApiError) -> &str {
    &error.errors[0].code
}

#[tokio::test]
async fn people_have_unique_plain_names_and_bots_what_they_like() {
    let world = World::start().await;
    let edge = Edge::new(&world);
    let (_, ann) = edge.register("ann").await.unwrap();
    edge.register("bob").await.unwrap();
    assert_eq!(edge.modify(&ann, false, named("Anna")).await.unwrap().user.username, "anna");
    for (name, code) in [
        ("Änn", "USERNAME_INVALID_CHARACTERS"),
        ("a b", "USERNAME_INVALID_CHARACTERS"),
        ("a..b", "USERNAME_INVALID_CONTAINS"),
        ("Bob", "USERNAME_ALREADY_TAKEN"),
    ] {
        let error = edge.modify(&ann, false, named(name)).await.unwrap_err();
        assert_eq!((error.code, field_code(&error)), (50035, code), "{name}");
    }
    let bot = world.bot("parrot", ALL_PRIVILEGED).await;
    for name in ["Café Bot", "Bob", "a..b"] {
        let changes = ModifyCurrentUser { username: Some(name.into()), ..ModifyCurrentUser::default() };
        assert_eq!(edge.modify(&bot.token, true, changes).await.unwrap().user.username, name);
    }
}

#[tokio::test]
async fn a_retry_of_a_changed_password_gets_the_token_of_the_first_answer() {
    let world = World::start().await;
    let edge = Edge::new(&world);
    let (user_id, token) = edge.register("ann").await.unwrap();
    let changes = ModifyCurrentUser {
        password: Some(PASSWORD.into()),
        new_password: Some("another horse".into()),
        ..ModifyCurrentUser::default()
    };
    let id = new_id();
    let credential = Credential::Token { token, bot: false };
    let first = edge.ask(id, credential, Call::ModifyCurrentUser(changes)).await.unwrap();
    let Reply::CurrentUser(user) = &first else { panic!("{first:?}") };
    let new_token = user.token.clone().expect("the old tokens ended");
    world.region().accounts.authenticate(&new_token, Some(false)).await.unwrap();
    // As after a restart: nothing in memory knows of it.
    let operations = Operations::new(world.region().store.clone());
    let context = OperationContext { id, user_id: Some(user_id) };
    let again = operations.once(context, never()).await;
    assert_eq!(again, Ok(first));
}

#[tokio::test]
async fn a_name_whose_change_was_lost_is_free_again_after_a_while() {
    let world = World::start().await;
    let edge = Edge::new(&world);
    let (ann_id, ann) = edge.register("ann").await.unwrap();
    let (bob_id, bob) = edge.register("bob").await.unwrap();
    world.gate.lose(true);
    let both = ModifyCurrentUser { email: Some("eve@example.org".into()), ..named("eve") };
    assert_eq!(edge.modify(&ann, false, both.clone()).await.unwrap_err().status, 503);
    world.gate.lose(false);
    // The claims stand, but neither name is anybody's.
    for login in ["eve", "eve@example.org"] {
        assert_eq!(field_code(&edge.login(login).await.unwrap_err()), "INVALID_LOGIN", "{login}");
    }
    assert_eq!(edge.login("ann").await, Ok(ann_id));
    assert_eq!(field_code(&edge.modify(&bob, false, named("eve")).await.unwrap_err()), "USERNAME_ALREADY_TAKEN");
    let later = Edge { ahead_ms: 59_000, ..Edge::new(&world) };
    assert_eq!(field_code(&later.modify(&bob, false, named("eve")).await.unwrap_err()), "USERNAME_ALREADY_TAKEN");
    let later = Edge { ahead_ms: 61_000, ..Edge::new(&world) };
    assert_eq!(later.modify(&bob, false, named("eve")).await.unwrap().user.username, "eve");
    assert_eq!(edge.login("eve").await, Ok(bob_id));
    // The other one is still its first claimant's to take.
    let email = ModifyCurrentUser { username: None, ..both };
    assert_eq!(edge.modify(&ann, false, email).await.unwrap().email.as_deref(), Some("eve@example.org"));
    assert_eq!(edge.login("eve@example.org").await, Ok(ann_id));
    // And then it is not taken from them, however long it lasts.
    let late = Edge { ahead_ms: 3_600_000, ..Edge::new(&world) };
    let grab = ModifyCurrentUser { email: Some("eve@example.org".into()), ..named("eve") };
    assert_eq!(field_code(&late.modify(&bob, false, grab).await.unwrap_err()), "EMAIL_ALREADY_REGISTERED");
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_address_to_the_limits() {
    let world = World::with(|config| config.rest.registrations_per_10min = Some(1)).await;
    let from = |ip: &str| Edge { client_ip: ip.parse().unwrap(), ..Edge::new(&world) };
    from("2001:db8:1:2::1").register("ann").await.unwrap();
    assert_eq!(from("2001:db8:1:2:ffff::9").register("bob").await.unwrap_err().status, 429);
    from("2001:db8:1:3::1").register("bob").await.unwrap();
}
