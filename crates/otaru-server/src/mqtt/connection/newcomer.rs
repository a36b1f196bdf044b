//! A device that connects only to get a secret of its own: it is told, and then it is to go.

use super::{Connection, End, Unavailable, Waiting};
use crate::metrics::Refused;
use crate::mqtt::Devices;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use otaru_mqtt::packet::ConnectCode;
use otaru_mqtt::session::Granted;

impl<D: Devices> Connection<D> {
    pub(super) fn enrol(&mut self, claim: Claim, grant: Grant) {
        let enrolment = self.gateway.devices.enrol(claim, grant);
        self.waiting = Some(Waiting::Enrolment(enrolment, grant));
    }

    /// A registration is judged, and if it is granted, kept.
    pub(super) fn enrolled(
        &mut self,
        result: Result<Result<Enrolled, RegisterError>, Unavailable>,
    ) -> Result<(), End> {
        let Some(Waiting::Enrolment(_, grant)) = self.waiting.take() else { return Ok(()) };
        let Ok(outcome) = result else {
            return self.refuse(ConnectCode::ServerUnavailable, Refused::Unavailable, None);
        };
        let Ok(enrolled) = outcome else {
            return self.refuse(ConnectCode::NotAuthorized, Refused::Registration, None);
        };
        // Its keepalive is not checked, so it gets the time that a stranger has.
        self.guest_until_ms = self.now_ms().saturating_add(self.gateway.limits.connect_timeout_ms);
        self.write(|session, out| session.accept(false, Granted::default(), out))?;
        let (topic, payload) = match grant {
            Grant::Secret => ("/ext/register", enrolled.to_secret()),
            Grant::Token => ("/ext/regnwl", enrolled.to_token()),
        };
        self.send(topic.to_owned(), payload)
    }
}
