//! What people do with Element X, done with the library it is made of: the room list and the encryption sync of
//! sliding sync, a timeline, an encrypted room, with a restart of the server in between that nobody should notice.
//!
//! Arguments: the server's URL, two user names and their password. Prints a line per step; after `restart` it waits for
//! a line on stdin. Exits with 0 when the story came to its end.

use std::{future::Future, time::Duration};

use anyhow::{bail, Context, Result};
use futures_util::{pin_mut, StreamExt};
use matrix_sdk::{
    ruma::{
        api::client::receipt::create_receipt::v3::ReceiptType,
        api::client::room::create_room::v3::{Request as CreateRoom, RoomPreset},
        events::room::{encryption::RoomEncryptionEventContent, message::RoomMessageEventContent},
        events::{receipt::ReceiptThread, InitialStateEvent},
        OwnedRoomId, RoomId,
    },
    sliding_sync::VersionBuilder,
    Client, Room, RoomState,
};
use matrix_sdk_ui::{
    room_list_service::filters::new_filter_all,
    sync_service::{State, SyncService},
    timeline::{RoomExt, Timeline, TimelineDetails, TimelineItem},
};
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long to wait for what must come true.
const PATIENCE: Duration = Duration::from_secs(60);

struct Person {
    client: Client,
    sync: SyncService,
}

impl Person {
    async fn sign_in(url: &str, name: &str, password: &str) -> Result<Self> {
        let client = Client::builder()
            .homeserver_url(url)
            .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
            .build()
            .await?;
        client
            .matrix_auth()
            .login_username(name, password)
            .send()
            .await?;
        let sync = SyncService::builder(client.clone())
            .with_offline_mode()
            .build()
            .await?;
        sync.start().await;
        Ok(Self { client, sync })
    }

    fn room(&self, id: &RoomId) -> Option<Room> {
        self.client.get_room(id)
    }

    /// The names of the rooms that the room list shows, in its order.
    async fn room_list(&self) -> Result<Vec<String>> {
        let list = self.sync.room_list_service().all_rooms().await?;
        let (entries, controller) = list.entries_with_dynamic_adapters(100);
        controller.set_filter(Box::new(new_filter_all(vec![])));
        pin_mut!(entries);
        let diffs = entries.next().await.context("the room list ended")?;
        let mut rooms = Vec::new();
        for diff in diffs {
            if let matrix_sdk_ui::eyeball_im::VectorDiff::Reset { values } = diff {
                rooms = values.into_iter().collect();
            }
        }
        let mut names = Vec::new();
        for room in rooms {
            names.push(room.into_inner().display_name().await?.to_string());
        }
        Ok(names)
    }
}

/// Asks again and again until there is an answer.
async fn until<T, F, Fut>(what: &str, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let asking = async {
        loop {
            if let Some(found) = ask().await? {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(found) => {
            println!("{what}");
            found
        }
        Err(_) => bail!("waited in vain: {what}"),
    }
}

/// The bodies of the messages in a timeline, as far as they could be decrypted, with who sent them by display name.
async fn messages(timeline: &Timeline) -> Vec<String> {
    let items = timeline.items().await;
    let body = |item: &TimelineItem| {
        let event = item.as_event()?;
        let sender = match event.sender_profile() {
            TimelineDetails::Ready(profile) => profile.display_name.clone().unwrap_or_default(),
            _ => String::from("?"),
        };
        Some(format!(
            "{sender}: {}",
            event.content().as_message()?.body()
        ))
    };
    items.iter().filter_map(|item| body(item)).collect()
}

async fn until_message(timeline: &Timeline, wanted: &str) -> Result<()> {
    until(&format!("read {wanted}"), || async {
        Ok(messages(timeline)
            .await
            .iter()
            .any(|each| each.ends_with(wanted))
            .then_some(()))
    })
    .await
}

async fn say(timeline: &Timeline, body: &str) -> Result<()> {
    timeline
        .send(RoomMessageEventContent::text_plain(body).into())
        .await?;
    Ok(())
}

async fn create(
    person: &Person,
    name: &str,
    invited: Option<&Person>,
    encrypted: bool,
) -> Result<OwnedRoomId> {
    let mut request = CreateRoom::new();
    request.name = Some(name.to_owned());
    request.preset = Some(RoomPreset::PrivateChat);
    if let Some(other) = invited {
        request.invite = vec![other.client.user_id().context("signed in")?.to_owned()];
    }
    if encrypted {
        let content = RoomEncryptionEventContent::with_recommended_defaults();
        request.initial_state = vec![InitialStateEvent::with_empty_state_key(content).to_raw_any()];
    }
    Ok(person
        .client
        .create_room(request)
        .await?
        .room_id()
        .to_owned())
}

async fn story(url: &str, names: [&str; 2], password: &str) -> Result<()> {
    let alice = Person::sign_in(url, names[0], password).await?;
    let bob = Person::sign_in(url, names[1], password).await?;

    // The room list, in order of activity, growing beyond the first screen.
    for n in 0..30 {
        create(&alice, &format!("room {n}"), None, false).await?;
    }
    until("all rooms are in the room list", || async {
        let names = alice.room_list().await?;
        Ok(
            (names.len() == 30 && names.first().is_some_and(|name| name == "room 29"))
                .then_some(()),
        )
    })
    .await?;

    // An encrypted room.
    let id = create(&alice, "secrets", Some(&bob), true).await?;
    let of_bob = until("bob is invited", || async {
        Ok(bob
            .room(&id)
            .filter(|room| room.state() == RoomState::Invited))
    })
    .await?;
    let named = of_bob.display_name().await?.to_string();
    if named != "secrets" {
        bail!("the invite is to {named:?}");
    }
    of_bob.join().await?;
    let of_alice = until("both are in the room", || async {
        let Some(room) = alice.room(&id) else {
            return Ok(None);
        };
        Ok(
            (room.joined_members_count() == 2 && of_bob.state() == RoomState::Joined)
                .then_some(room),
        )
    })
    .await?;
    alice
        .sync
        .room_list_service()
        .subscribe_to_rooms(&[&id])
        .await;
    bob.sync
        .room_list_service()
        .subscribe_to_rooms(&[&id])
        .await;
    let (alice_reads, bob_reads) = (of_alice.timeline().await?, of_bob.timeline().await?);
    until("bob knows that it is encrypted", || async {
        Ok(of_bob
            .latest_encryption_state()
            .await?
            .is_encrypted()
            .then_some(()))
    })
    .await?;
    say(&alice_reads, "hello").await?;
    until_message(&bob_reads, "hello").await?;
    say(&bob_reads, "hello yourself").await?;
    until_message(&alice_reads, "hello yourself").await?;
    until("the room is on top of the list", || async {
        Ok(alice
            .room_list()
            .await?
            .first()
            .is_some_and(|name| name == "secrets")
            .then_some(()))
    })
    .await?;

    // Typing and receipts.
    let (_guard, mut typing) = of_alice.subscribe_to_typing_notifications();
    of_bob.typing_notice(true).await?;
    let who = tokio::time::timeout(PATIENCE, typing.recv())
        .await
        .context("nobody types")??;
    if who.first().map(|user| user.as_str()) != bob.client.user_id().map(|user| user.as_str()) {
        bail!("the wrong one types: {who:?}");
    }
    println!("bob types");
    let last = bob_reads.latest_event_id().await.context("a last event")?;
    of_bob
        .send_single_receipt(ReceiptType::Read, ReceiptThread::Unthreaded, last.clone())
        .await?;
    let bobs_id = bob.client.user_id().context("signed in")?;
    until("alice sees how far bob has read", || async {
        let receipt = of_alice
            .load_user_receipt(
                matrix_sdk::ruma::events::receipt::ReceiptType::Read,
                ReceiptThread::Unthreaded,
                bobs_id,
            )
            .await?;
        Ok(receipt.filter(|(event, _)| *event == last).map(|_| ()))
    })
    .await?;

    // The server is restarted.
    println!("restart");
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    say(&bob_reads, "after the restart").await?;
    until_message(&alice_reads, "after the restart").await?;
    say(&alice_reads, "nothing lost").await?;
    until_message(&bob_reads, "nothing lost").await?;
    let seen = messages(&bob_reads).await;
    for body in [
        "hello",
        "hello yourself",
        "after the restart",
        "nothing lost",
    ] {
        let times = seen
            .iter()
            .filter(|each| each.ends_with(&format!(": {body}")))
            .count();
        if times != 1 {
            bail!("{body:?} is there {times} times: {seen:?}");
        }
    }
    if seen.iter().any(|each| each.starts_with('?')) {
        bail!("somebody has no profile: {seen:?}");
    }
    if !matches!(alice.sync.state().get(), State::Running) {
        bail!("alice does not sync");
    }

    // The end.
    of_bob.leave().await?;
    until("bob has left", || async {
        Ok(
            (of_bob.state() == RoomState::Left && of_alice.joined_members_count() == 1)
                .then_some(()),
        )
    })
    .await?;
    alice.sync.stop().await;
    bob.sync.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, alice, bob, password] = arguments.as_slice() else {
        bail!("usage: hearth-rust-sdk-story URL ALICE BOB PASSWORD");
    };
    story(url, [alice, bob], password).await?;
    println!("the end");
    Ok(())
}
