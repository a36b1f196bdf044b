use super::*;
use crate::clock::Clock;
use crate::metrics::{Evicted, Metrics, Turned};
use otaru_core::time::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

fn guard(door: Door, limits: &DoorLimits) -> (Arc<Guard>, Metrics) {
    let metrics = Metrics::default();
    (Guard::new(door, limits, Clock::simulated(Timestamp(0)), metrics.clone()), metrics)
}

fn address(number: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + number).to_be_bytes())
}

async fn second() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn is_given(signal: &Signal) -> bool {
    use futures_util::FutureExt;
    signal.given().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn an_address_connects_as_often_as_its_bucket_allows() {
    let limits = DoorLimits { connects_per_second: 2, connects_burst: 3, ..DoorLimits::default() };
    let (guard, metrics) = guard(Door::Mqtt, &limits);
    let knock = async |from: IpAddr| guard.admit(from).await.map(drop);
    for wave in [5, 2, 2] {
        for _ in 0..wave {
            assert_eq!(knock(address(1)).await, Ok(()));
        }
        assert_eq!(knock(address(1)).await, Err(Turned::Rate));
        assert_eq!(knock(address(2)).await, Ok(()), "others are not concerned");
        second().await;
    }
    for _ in 0..100 {
        assert_eq!(knock("127.0.0.1".parse().unwrap()).await, Ok(()));
        assert_eq!(knock("::1".parse().unwrap()).await, Ok(()));
    }
    assert_eq!(metrics.turned.get((Door::Mqtt, Turned::Rate)), 3);
    assert_eq!(guard.sizes(), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn one_network_of_ipv6_is_one_address_and_ipv4_in_ipv6_is_ipv4() {
    let limits = DoorLimits { connects_per_second: 1, connects_burst: 0, ..DoorLimits::default() };
    let (guard, _) = guard(Door::Mqtt, &limits);
    for (from, want) in [
        ("2001:db8::1", Ok(())),
        ("2001:db8::ffff:1", Err(Turned::Rate)),
        ("2001:db8:0:1::1", Ok(())),
        ("10.0.0.1", Ok(())),
        ("::ffff:10.0.0.1", Err(Turned::Rate)),
        ("::ffff:127.0.0.1", Ok(())),
        ("::ffff:127.0.0.1", Ok(())),
    ] {
        assert_eq!(guard.admit(from.parse().unwrap()).await.map(drop), want, "{from}");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_of_one_address_are_bounded_and_the_oldest_goes_for_the_newest() {
    let limits = DoorLimits { strangers_per_address_max: 2, ..DoorLimits::default() };
    let (guard, metrics) = guard(Door::Mqtt, &limits);
    let mut first = guard.admit(address(1)).await.unwrap();
    let second_one = guard.admit(address(1)).await.unwrap();
    let (signal, other) = (Arc::new(Signal::default()), Arc::new(Signal::default()));
    first.ask(signal.clone());
    assert_eq!(guard.admit(address(1)).await.err(), Some(Turned::Address));
    drop(guard.admit(address(2)).await.unwrap());
    // A device that was let in counts no more.
    first.settle();
    let third = guard.admit(address(1)).await.unwrap();
    second().await;
    let fourth = guard.admit(address(1)).await.unwrap();
    second_one.ask(other.clone());
    assert!(!is_given(&signal) && is_given(&other));
    assert_eq!(metrics.turned.get((Door::Mqtt, Turned::Address)), 1);
    assert_eq!(metrics.evicted.get((Door::Mqtt, Evicted::Address)), 1);
    drop((first, second_one, third, fourth));
    assert_eq!(guard.sizes().0, 0);
    assert_eq!(metrics.waiting.gauge(Door::Mqtt).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_storm_waits_and_somebody_who_holds_a_place_has_to_go() {
    let limits = DoorLimits { strangers_max: 2, ..DoorLimits::default() };
    let (guard, metrics) = guard(Door::Mqtt, &limits);
    let mut quick = guard.admit(address(1)).await.unwrap();
    let idle = guard.admit(address(2)).await.unwrap();
    let signal = Arc::new(Signal::default());
    idle.ask(signal.clone());
    // Both are new: the third waits until one of them is let in.
    let (third, ()) = tokio::join!(biased; guard.admit(address(3)), async { quick.settle() });
    assert!(third.is_ok() && !is_given(&signal));
    // The next one waits until the oldest has had its second.
    let before = guard.sizes();
    let fourth = guard.admit(address(4)).await.unwrap();
    assert!(is_given(&signal));
    assert_eq!(metrics.evicted.get((Door::Mqtt, Evicted::Full)), 1);
    assert_eq!(before, (3, 2, 3));
    drop((idle, quick, third, fourth));
    assert_eq!(guard.sizes(), (0, 0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_full_door_turns_away_unless_one_has_done_nothing_for_a_while() {
    let limits = DoorLimits { http_connections_max: 2, ..DoorLimits::default() };
    let (guard, metrics) = guard(Door::Http, &limits);
    let mut passes = [guard.admit(address(1)).await, guard.admit(address(2)).await];
    passes.iter_mut().flatten().for_each(Pass::settle);
    assert_eq!(guard.admit(address(3)).await.err(), Some(Turned::Full));
    let signal = Arc::new(Signal::default());
    passes[0].as_mut().unwrap().wait(signal.clone());
    second().await;
    assert!(guard.admit(address(3)).await.is_ok());
    assert!(is_given(&signal));
    assert_eq!(metrics.turned.get((Door::Http, Turned::Full)), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_to_the_http_door_count_for_their_address_until_they_end() {
    let limits = DoorLimits { http_connections_per_address_max: 1, ..DoorLimits::default() };
    let (guard, _) = guard(Door::Http, &limits);
    let mut pass = guard.admit(address(1)).await.unwrap();
    pass.settle();
    second().await;
    assert_eq!(guard.admit(address(1)).await.err(), Some(Turned::Address));
    drop(pass);
    assert!(guard.admit(address(1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_addresses_is_bounded() {
    let limits = DoorLimits {
        connects_per_second: 1,
        connects_burst: 0,
        addresses_max: 2_000,
        strangers_max: 0,
        ..DoorLimits::default()
    };
    let (guard, _) = guard(Door::Mqtt, &limits);
    for number in 0..5_000 {
        assert!(guard.admit(address(number)).await.is_ok(), "whoever is not counted is let in");
    }
    assert_eq!(guard.sizes().2, 2_000);
    second().await;
    second().await;
    assert_eq!(guard.admit(address(9_000)).await.map(drop), Ok(()));
    assert_eq!(guard.sizes().2, 1, "those that are as good as new are forgotten");
}

#[test]
fn descriptors_are_shared_between_the_doors() {
    let limits = |mqtt, http, descriptors| {
        let limits = DoorLimits {
            mqtt_connections_max: mqtt,
            http_connections_max: http,
            ..DoorLimits::default()
        };
        let limits = limits.within(descriptors);
        (limits.mqtt_connections_max, limits.http_connections_max)
    };
    assert_eq!(limits(0, 4_096, 1_048_576), (1_044_224, 4_096));
    assert_eq!(limits(0, 4_096, 1_024), (576, 192));
    assert_eq!(limits(100, 50, 1_024), (100, 50));
    assert_eq!(limits(5_000, 0, 1_024), (576, 192));
    assert_eq!(limits(0, 4_096, 4), (2, 1));
}
