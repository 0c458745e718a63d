//! An acknowledged write survives `kill -9`; a batch is there whole or not at all; every start succeeds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use weir_model::Random;
use weir_proto::policy::v1 as wire;
use weir_proto::policy::v1::policy_service_client::PolicyServiceClient;
use weir_tests::ControlPlane;

/// Rounds of writing and killing; `WEIR_ROUNDS` sets another number.
const ROUNDS: u64 = 200;
/// Writers at once.
const WRITERS: u64 = 4;

/// Each batch has two services that carry the same number: seeing one without the other is seeing half a batch.
fn batch(writer: u64, number: u64) -> String {
    let service = |half: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: w{writer}-{half}, namespace: default, annotations: {{number: \"{number}\"}}}}\n\
             spec: {{selector: {{app: w{writer}}}, ports: [{{name: http, port: 80}}]}}\n"
        )
    };
    format!("{}---\n{}", service("left"), service("right"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_to_kill_9_and_no_batch_is_ever_half_there() {
    let dir = tempfile::tempdir().unwrap();
    let rounds = std::env::var("WEIR_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let seed = std::env::var("WEIR_SEED").map_or(7, |text| text.parse().unwrap());
    let mut random = Random::new(seed);
    // The newest number each writer was told is written, and the newest it ever sent.
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let sent: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let mut total = 0;
    for round in 0..rounds {
        let dir = dir.path().to_owned();
        let mut plane = tokio::task::spawn_blocking(move || ControlPlane::start(&dir)).await.unwrap();
        check(&plane, &acknowledged, &sent, round, seed).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (acknowledged, sent, stop) =
                (Arc::clone(&acknowledged), Arc::clone(&sent), Arc::clone(&stop));
            let url = format!("http://{}", plane.policy);
            writers.push(tokio::spawn(async move {
                let Ok(mut client) = PolicyServiceClient::connect(url).await else { return 0 };
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    let number = sent[writer as usize].fetch_add(1, Ordering::SeqCst) + 1;
                    let request = wire::ApplyRequest {
                        manifest: batch(writer, number),
                        author: "test".into(),
                        ..Default::default()
                    };
                    match client.apply(request).await {
                        Ok(_) => acknowledged[writer as usize].store(number, Ordering::SeqCst),
                        Err(_) => break,
                    }
                    written += 1;
                }
                written
            }));
        }
        tokio::time::sleep(Duration::from_millis(5 + random.below(120))).await;
        plane.process.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            total += writer.await.unwrap();
        }
    }
    let dir = dir.path().to_owned();
    let plane = tokio::task::spawn_blocking(move || ControlPlane::start(&dir)).await.unwrap();
    check(&plane, &acknowledged, &sent, rounds, seed).await;
    assert!(total > rounds, "only {total} writes in {rounds} rounds: the load was no load");
    println!("{rounds} rounds of kill -9, {total} acknowledged writes, none lost (seed {seed})");
}

async fn check(plane: &ControlPlane, acknowledged: &[AtomicU64], sent: &[AtomicU64], round: u64, seed: u64) {
    let mut client = PolicyServiceClient::connect(format!("http://{}", plane.policy)).await.unwrap();
    let list = wire::ListRequest { kind: "Service".into(), ..Default::default() };
    let items = client.list(list).await.unwrap().into_inner().items;
    let numbers: BTreeMap<String, u64> = items
        .into_iter()
        .map(|item| {
            let metadata = item.object.unwrap().metadata.unwrap();
            (metadata.name, metadata.annotations["number"].parse().unwrap())
        })
        .collect();
    for (writer, (told, ever)) in acknowledged.iter().zip(sent).enumerate() {
        let (told, ever) = (told.load(Ordering::SeqCst), ever.load(Ordering::SeqCst));
        let half = |half: &str| numbers.get(&format!("w{writer}-{half}")).copied().unwrap_or(0);
        let (left, right) = (half("left"), half("right"));
        assert_eq!(left, right, "round {round}, seed {seed}: half a batch of writer {writer} is visible");
        assert!(
            left >= told,
            "round {round}, seed {seed}: writer {writer} was told {told} is written, {left} is there"
        );
        assert!(left <= ever, "round {round}, seed {seed}: writer {writer} never sent {left}");
    }
}
