//! Acknowledgements that leave in the order of what they acknowledge, whenever the work behind them ends.

use crate::packet::{PacketId, Reason};
use std::collections::VecDeque;

/// A message that waits for its acknowledgement. Good for the queue that gave it, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What was received at QoS 1 and isn't acknowledged yet, oldest first. Holds no memory while empty.
#[derive(Debug, Default)]
pub struct OrderedAcks {
    waiting: VecDeque<(PacketId, Option<Reason>)>,
    /// Ticket of the first that waits.
    first: u64,
}

impl OrderedAcks {
    /// Takes a message in. `None` when one of the same id waits: it is the same message sent again, and the one
    /// acknowledgement will answer both.
    pub fn push(&mut self, packet_id: PacketId) -> Option<Ticket> {
        if self.waiting.iter().any(|(waiting, _)| *waiting == packet_id) {
            return None;
        }
        self.waiting.push_back((packet_id, None));
        Some(Ticket(self.first + self.waiting.len() as u64 - 1))
    }

    /// Marks the work behind `ticket` as done, with what became of it, and returns the ids whose acknowledgements may
    /// leave now, in order. An unknown ticket changes nothing.
    pub fn done(&mut self, ticket: Ticket, reason: Reason) -> Vec<(PacketId, Reason)> {
        let place = ticket.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some((_, done)) = place.and_then(|place| self.waiting.get_mut(place)) {
            *done = Some(reason);
        }
        let mut ids = Vec::new();
        while let Some(&(packet_id, Some(reason))) = self.waiting.front() {
            self.waiting.pop_front();
            self.first += 1;
            ids.push((packet_id, reason));
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        ids
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    const OK: Reason = Reason::SUCCESS;
    const NO: Reason = Reason::NOT_AUTHORIZED;

    #[test]
    fn acknowledgements_leave_in_the_order_of_arrival_each_with_its_reason() {
        let mut acks = OrderedAcks::default();
        let tickets: Vec<_> = [7, 3, 9].map(|n| acks.push(id(n)).unwrap()).to_vec();
        assert_eq!(acks.done(tickets[2], OK), []);
        assert_eq!(acks.done(tickets[0], OK), [(id(7), OK)]);
        assert_eq!(acks.done(tickets[1], NO), [(id(3), NO), (id(9), OK)]);
        assert!(acks.is_empty());
        let again = acks.push(id(7)).unwrap();
        assert_eq!(acks.done(again, OK), [(id(7), OK)]);
    }

    #[test]
    fn a_message_sent_again_while_it_waits_is_taken_once() {
        let mut acks = OrderedAcks::default();
        let ticket = acks.push(id(5)).unwrap();
        assert_eq!(acks.push(id(5)), None);
        assert_eq!(acks.done(ticket, OK), [(id(5), OK)]);
        assert!(acks.push(id(5)).is_some());
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut acks = OrderedAcks::default();
        let first = acks.push(id(1)).unwrap();
        assert_eq!(acks.done(first, OK), [(id(1), OK)]);
        let second = acks.push(id(2)).unwrap();
        assert_eq!(acks.done(first, OK), []);
        assert_eq!(acks.done(second, OK), [(id(2), OK)]);
    }
}
