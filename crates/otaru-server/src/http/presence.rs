//! Which connections are worth keeping: those with a request under way.

use super::Body;
use crate::doors::{Pass, Signal};
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A connection, as the guard of the door sees it.
#[derive(Debug)]
pub(super) struct Presence {
    pass: Mutex<Pass>,
    is_busy: AtomicBool,
    asked_to_go: Arc<Signal>,
}

impl Presence {
    /// A connection without a request.
    pub fn new(pass: Pass) -> Arc<Self> {
        let asked_to_go = Arc::new(Signal::default());
        pass.ask(asked_to_go.clone());
        Arc::new(Self { pass: Mutex::new(pass), is_busy: AtomicBool::new(false), asked_to_go })
    }

    /// A request is under way until what is returned is dropped.
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.is_busy.store(true, Ordering::Release);
        self.pass.lock().unwrap_or_else(PoisonError::into_inner).settle();
        Busy(Arc::clone(self))
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Acquire)
    }

    /// Waits until the connection has to go for others.
    pub async fn asked_to_go(&self) {
        self.asked_to_go.given().await;
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Presence>);

impl Busy {
    /// The body of its answer: the request ends with it.
    pub fn until_sent(self, body: Body) -> Body {
        let sent = move |frame| {
            let _under_way = &self;
            frame
        };
        body.map_frame(sent).boxed_unsync()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Presence { pass, is_busy, asked_to_go } = &*self.0;
        is_busy.store(false, Ordering::Release);
        pass.lock().unwrap_or_else(PoisonError::into_inner).wait(asked_to_go.clone());
    }
}
