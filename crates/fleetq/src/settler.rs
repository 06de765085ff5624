//! The settler: what several handlers settle at the same time goes to Redis in one script.
//!
//! ```text
//! handlers --(250 waiting, then they wait outside)--> settler: all that waits, one script --> replies
//! ```
//!
//! It never waits for company: a lone settlement goes at once, and while one script is on its way
//! the next ones gather. What must stay true: an answer is what Redis said of this very claim, and
//! where a script failed everybody in it is told so and settles alone.

use tokio::sync::{mpsc, oneshot};

use crate::claim::{Lease, Settle, Settled};
use crate::queue::{BATCH_MAX, Queue};

/// The door to one settler, which ends with the last of them. Clones are cheap.
#[derive(Debug, Clone)]
pub(crate) struct Settler {
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
struct Order {
    lease: Lease,
    how: Settle,
    reply: oneshot::Sender<Settled>,
}

impl Settler {
    /// Starts the task. It needs a tokio runtime.
    pub(crate) fn start(queue: Queue) -> Self {
        let (orders, inbox) = mpsc::channel(BATCH_MAX);
        tokio::spawn(serve(queue, inbox));
        Self { orders }
    }

    /// Settles together with whoever settles now; none where that failed or nobody serves any
    /// more. Dropping the future withdraws a settlement that has not been sent.
    pub(crate) async fn settle(&self, lease: &Lease, how: &Settle) -> Option<Settled> {
        let (reply, answer) = oneshot::channel();
        let order = Order { lease: lease.clone(), how: how.clone(), reply };
        self.orders.send(order).await.ok()?;
        answer.await.ok()
    }
}

async fn serve(queue: Queue, mut inbox: mpsc::Receiver<Order>) {
    let mut orders = Vec::new();
    while inbox.recv_many(&mut orders, BATCH_MAX).await > 0 {
        orders.retain(|order| !order.reply.is_closed());
        if orders.is_empty() {
            continue;
        }
        let claims = orders.iter().map(|order| (&order.lease, &order.how));
        match queue.settle_batch(claims).await {
            Ok(settled) => {
                for (order, settled) in orders.drain(..).zip(settled) {
                    // A caller that left meanwhile wants no answer.
                    let _ = order.reply.send(settled);
                }
            }
            Err(error) => {
                tracing::debug!(%error, claims = orders.len(), "settling together failed");
                // Dropped replies: each settles alone, with the patience of its own claim.
                orders.clear();
            }
        }
    }
}
