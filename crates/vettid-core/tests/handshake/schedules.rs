//! Random schedules: whatever the network does, the two sides never disagree.

use proptest::prelude::*;
use vettid_core::handshake::Phase;
use vettid_wire::handshake::InvitationKind;

use crate::parties::DAY_MS;
use crate::simulation::{Simulation, Who};

/// What happens next.
#[derive(Debug, Clone)]
enum Act {
    Deliver(usize),
    Repeat(usize),
    Lose(usize),
    Decide(Who),
    Resend(Who),
    Change(usize, usize, u8),
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![Just(Who::Initiator), Just(Who::Responder)]
}

fn honest_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<usize>().prop_map(Act::Deliver),
        1 => any::<usize>().prop_map(Act::Repeat),
        1 => any::<usize>().prop_map(Act::Lose),
        2 => who().prop_map(Act::Decide),
        2 => who().prop_map(Act::Resend),
    ]
}

fn hostile_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => honest_act(),
        1 => (any::<usize>(), any::<usize>(), 1..=255_u8).prop_map(|(m, place, mask)| Act::Change(m, place, mask)),
    ]
}

fn play(simulation: &mut Simulation, act: &Act) {
    let pick = |index: usize, simulation: &Simulation| index.checked_rem(simulation.network.len());
    match act {
        Act::Deliver(index) => {
            if let Some(place) = pick(*index, simulation) {
                let message = simulation.network.remove(place);
                simulation.deliver(&message);
            }
        }
        Act::Repeat(index) => {
            if let Some(place) = pick(*index, simulation) {
                simulation.network.push(simulation.network[place].clone());
            }
        }
        Act::Lose(index) => {
            if let Some(place) = pick(*index, simulation) {
                simulation.network.remove(place);
            }
        }
        Act::Change(index, byte, mask) => {
            if let Some(place) = pick(*index, simulation) {
                let mut message = simulation.network[place].clone();
                let byte = byte % message.bytes.len();
                message.bytes[byte] ^= mask;
                simulation.network.push(message);
            }
        }
        Act::Decide(who) => simulation.decide(*who),
        Act::Resend(who) => simulation.resend(*who),
    }
}

fn kind() -> impl Strategy<Value = InvitationKind> {
    prop_oneof![Just(InvitationKind::Enroll), Just(InvitationKind::Connect), Just(InvitationKind::Service)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn loss_repetition_order_and_crashes_do_no_harm(
        kind in kind(), seed: u64, crash in proptest::option::of(0_usize..20),
        acts in proptest::collection::vec(honest_act(), 0..40),
    ) {
        let mut simulation = Simulation::new(kind, seed, crash);
        for act in &acts {
            play(&mut simulation, act);
        }
        simulation.settle();
        prop_assert_eq!(simulation.phases(), (Phase::Active, Phase::Active));
        prop_assert_eq!(simulation.alarms, 0);
        simulation.assert_channel_works();
    }

    #[test]
    fn changed_messages_end_in_agreement_or_in_nothing(
        kind in kind(), seed: u64, acts in proptest::collection::vec(hostile_act(), 0..60),
    ) {
        let mut simulation = Simulation::new(kind, seed, None);
        for act in &acts {
            play(&mut simulation, act);
        }
        simulation.settle();
        simulation.now = simulation.now.plus_ms(30 * DAY_MS);
        simulation.initiator.expire(simulation.now);
        simulation.responder.expire(simulation.now);
        match simulation.phases() {
            (Phase::Active, Phase::Active) => simulation.assert_channel_works(),
            (initiator, responder) => {
                let ended = [Phase::Expired, Phase::Aborted];
                prop_assert!(ended.contains(&responder), "{:?} {:?}", initiator, responder);
                prop_assert!(ended.contains(&initiator) || initiator == Phase::Hs3Sent, "{:?}", initiator);
            }
        }
    }
}
