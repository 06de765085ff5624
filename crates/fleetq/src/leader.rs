//! One leader among many processes, for work that must not be done twice at a time.
//! What must stay true: tokens rise from term to term, so that a leader who has slept through his
//! lease is refused wherever his token is compared.

use std::time::Duration;

use crate::connection::{Connection, Effort, Request};
use crate::error::QueueError;
use crate::job::check_name;
use crate::open::check_key_part;
use crate::queue::whole_millis;
use crate::scripts;

/// A lease that one process at a time may hold, kept in the single key
/// `{namespace}:leader:name` (a hash: owner, token, until; it stays, so that tokens keep rising).
#[derive(Debug, Clone)]
pub struct LeaderLease {
    connection: Connection,
    key: String,
    owner: String,
    ttl: Duration,
}

/// A term of leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The fencing token, comparable with those of claims.
    pub token: i64,
}

impl LeaderLease {
    /// The lease called `name`, for the process called `owner`; a term lasts `ttl`, 1 s at least,
    /// unless it is renewed. Nothing is asked of Redis yet.
    ///
    /// # Errors
    /// [`QueueError::BadName`] and [`QueueError::BadSetting`].
    pub fn new(
        connection: &Connection,
        namespace: &str,
        name: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Self, QueueError> {
        check_key_part("namespace", namespace)?;
        check_key_part("leader lease", name)?;
        check_name("owner", owner, 128)?;
        if ttl < Duration::from_secs(1) {
            return Err(QueueError::BadSetting {
                setting: "ttl",
                why: "a term lasts 1 s at least, so that renewals can be on time".into(),
            });
        }
        let key = format!("{{{namespace}}}:leader:{name}");
        Ok(Self { connection: connection.clone(), key, owner: owner.to_owned(), ttl })
    }

    /// Takes the lease if nobody leads. An owner who leads already gets the same term again.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn acquire(&self) -> Result<Option<Term>, QueueError> {
        let token = self.call("acquire", 0).await?;
        Ok((token > 0).then_some(Term { token }))
    }

    /// Extends the term; `false` when somebody else has led since.
    ///
    /// # Errors
    /// What Redis says. Whoever cannot renew before `ttl` has passed must stop leading.
    pub async fn renew(&self, term: Term) -> Result<bool, QueueError> {
        Ok(self.call("renew", term.token).await? == 1)
    }

    /// Ends the term, so that another can begin at once; `false` when it had ended before.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn release(&self, term: Term) -> Result<bool, QueueError> {
        Ok(self.call("release", term.token).await? == 1)
    }

    async fn call(&self, verb: &'static str, token: i64) -> Result<i64, QueueError> {
        let mut call = scripts::LEADER.prepare_invoke();
        call.key(self.key.as_str());
        call.arg(verb).arg(self.owner.as_str()).arg(token).arg(whole_millis(self.ttl));
        let request = Request::Script(&call);
        self.connection.run("use the leader lease", Effort::UntilAnswered, request).await
    }
}
