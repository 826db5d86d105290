//! Showing where you are on real processes: as exactly as was said, and gone when it ends.

use crate::agreement::{connect, start};
use crate::party::{App, list};
use crate::stack::Place;
use serde_json::Value;

/// What Bob sees of where Alice is.
async fn seen(bob: &App, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    bob.until(&["location", "list"], |shown| {
        let seen = list(shown, "seen");
        wanted(seen).then(|| seen.to_vec())
    })
    .await
}

fn udeg(seen: &Value, of: &str) -> i64 {
    seen["position"][of].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_shown_to_a_kilometre_and_then_forgotten() {
    const LATITUDE: i64 = 52_520_008;
    const LONGITUDE: i64 = 13_404_954;
    let place = Place::new();
    let mut up = start(&place).await;
    let (alice, bob, connection) = connect(&place).await;
    alice.ask(&["location", "share", &connection, "--for", "10m", "--precision", "1km"]).await;
    let before = seen(&bob, |seen| seen.len() == 1).await;
    assert!(before[0]["position"].is_null() && before[0]["precision"] == "1km", "{before:?}");

    let sent = alice.say(&["location", "update"], "52.520008 13.404954\n").await;
    assert_eq!((&sent["sent_to"], &sent["shares"]), (&1.into(), &1.into()));
    let shown = seen(&bob, |seen| seen.iter().any(|one| !one["position"].is_null())).await;
    let (north, east) = (udeg(&shown[0], "latitude_udeg") - LATITUDE, udeg(&shown[0], "longitude_udeg") - LONGITUDE);
    assert_ne!((north, east), (0, 0), "it came as exactly as it was measured");
    assert!(north.abs() < 10_000 && east.abs() < 20_000, "{north} {east} millionths of a degree away");

    let wrong = alice.run(&["location", "update"], "52.52\n").await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    alice.ask(&["location", "stop", &connection]).await;
    seen(&bob, <[Value]>::is_empty).await;
    assert_eq!(alice.say(&["location", "update"], "52.520008 13.404954\n").await["shares"], 0);
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}
