//! A mutation that is sent again under its operation id happened once, and is answered as it was.

mod common;

use common::{Person, TestGuild, World, message};
use rookery_core_db::MessageRange;
use rookery_model::call::{Call, CallReply, CallRequest, Credential, Reply};
use rookery_model::{ErrorCode, MessageId};
use rookery_region::calls::{CallOrigin, answer};

fn origin(operation: u8) -> CallOrigin {
    CallOrigin {
        operation_id: [operation; 16],
        client_ip: None,
        unix_ms: 1_700_000_000_000,
        deadline_ms: 5_000,
        is_forwarded: false,
    }
}

fn request(person: &Person, call: Call) -> CallRequest {
    CallRequest { credential: Credential::Token { token: person.token.clone(), bot: false }, reason: None, call }
}

async fn send(world: &World, person: &Person, guild: &TestGuild, operation: u8) -> CallReply {
    let call = Call::CreateMessage(Box::new(message(guild.channel, &operation.to_string())));
    answer(world.region(), origin(operation), request(person, call)).await
}

fn id_of(reply: &CallReply) -> MessageId {
    match &reply.result {
        Ok(Reply::Message(message)) => message.id,
        other => panic!("not a message: {other:?}"),
    }
}

#[tokio::test]
async fn a_retry_is_no_call_more() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let guild = world.guild(&[&ann, &bob]).await;
    let mut sent = Vec::new();
    for operation in 1..=5 {
        sent.push(id_of(&send(&world, &ann, &guild, operation).await));
        // Each answer is lost once; five messages in five seconds are allowed.
        assert_eq!(id_of(&send(&world, &ann, &guild, operation).await), sent[sent.len() - 1]);
    }
    let sixth = send(&world, &ann, &guild, 6).await;
    assert_eq!(sixth.result.unwrap_err().status, 429);
    assert_eq!(sixth.rate_limit.map(|info| info.remaining), Some(0));
    for operation in 1..=5 {
        assert_eq!(id_of(&send(&world, &ann, &guild, operation).await), sent[usize::from(operation) - 1]);
    }
    let others = send(&world, &bob, &guild, 5).await.result.unwrap_err();
    assert!(others.is(ErrorCode::Unauthorized), "it is not theirs: {others}");
    let stored = world.region().store.messages(guild.channel, MessageRange::Latest, 100).await.unwrap();
    assert_eq!(stored.len(), 5);
}

#[tokio::test]
async fn a_retry_that_meets_the_running_call_waits_for_its_answer() {
    let world = World::with(|config| config.rest.messages_per_5s = 1).await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    world.gate.hold();
    let both = async { tokio::join!(send(&world, &ann, &guild, 1), send(&world, &ann, &guild, 1)) };
    let opens = async {
        while world.region().store.messages(guild.channel, MessageRange::Latest, 1).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        world.gate.open();
    };
    let ((first, second), ()) = tokio::join!(both, opens);
    assert_eq!(id_of(&first), id_of(&second));
}

#[tokio::test]
async fn what_the_store_remembers_is_answered_whatever_the_limit() {
    let world = World::with(|config| config.rest.messages_per_5s = 1).await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    // As before a restart: the owner's record is all that is left of it.
    let operation = rookery_region::operations::OperationContext { id: [9; 16], user_id: Some(ann.id()) };
    let owner = world.region().owners.of_channel(guild.channel).await.unwrap();
    let call = Call::CreateMessage(Box::new(message(guild.channel, "before")));
    let Reply::Message(before) = owner.call(ann.caller(), call, Some(operation)).await.unwrap() else { panic!() };
    id_of(&send(&world, &ann, &guild, 1).await);
    assert_eq!(send(&world, &ann, &guild, 2).await.result.unwrap_err().status, 429);
    assert_eq!(id_of(&send(&world, &ann, &guild, 9).await), before.id);
}

#[tokio::test]
async fn a_call_that_ended_its_own_token_is_answered_again_and_no_other_is() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    for _ in 0..2 {
        let reply = answer(world.region(), origin(1), request(&ann, Call::Logout)).await;
        assert!(reply.result.is_ok(), "{reply:?}");
    }
    let reply = answer(world.region(), origin(2), request(&ann, Call::Logout)).await;
    assert_eq!(reply.result.unwrap_err().status, 401);
    // The operation's id alone is worth nothing.
    let mut forged = request(&ann, Call::Logout);
    forged.credential = Credential::Token { token: format!("{}x", ann.token), bot: false };
    assert_eq!(answer(world.region(), origin(1), forged).await.result.unwrap_err().status, 401);
    let nobody = CallRequest { credential: Credential::None, reason: None, call: Call::Logout };
    assert_eq!(answer(world.region(), origin(1), nobody).await.result.unwrap_err().status, 401);
}
