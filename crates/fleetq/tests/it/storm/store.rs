//! Where the storm's jobs leave their effects: a second Redis, which nobody breaks.
//! What must stay true: an effect is one row by its job's id, an older token never replaces a newer
//! one, and every attempt stands in the journal in the order in which the store met it.

use std::collections::HashMap;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

/// One call, one line of the journal: `verb id token worker detail`. An `effect` gets whether it was
/// kept for its detail; a `start` is answered with the number of runs of this job before.
const NOTE: &str = r"
local verb, id, token, worker, detail = unpack(ARGV)
local answer = ''
if verb == 'start' then
  answer = tostring(redis.call('HINCRBY', 'runs', id, 1) - 1)
elseif verb == 'effect' then
  -- Tokens have 16 digits, all of them: as texts they compare as they do as numbers.
  local newest = redis.call('HGET', 'effects', id)
  detail = newest and newest > token and 'refused' or 'kept'
  if detail == 'kept' then redis.call('HSET', 'effects', id, token) end
end
redis.call('RPUSH', 'journal', table.concat({ verb, id, token, worker, detail }, ' '))
return answer
";
const READ_MAX: usize = 10_000;

#[derive(Clone)]
pub struct Store {
    line: MultiplexedConnection,
    note: redis::Script,
}

impl Store {
    pub async fn connect(url: &str) -> Self {
        Self { line: patient_line(url).await.unwrap(), note: redis::Script::new(NOTE) }
    }

    pub async fn note(
        &self,
        verb: &str,
        id: &str,
        token: i64,
        worker: &str,
        detail: &str,
    ) -> String {
        let mut call = self.note.prepare_invoke();
        call.arg(verb).arg(id).arg(token).arg(worker).arg(detail);
        call.invoke_async(&mut self.line.clone()).await.unwrap()
    }

    /// Takes lines off the journal, oldest first; empty when all are taken.
    pub async fn read(&self) -> Vec<String> {
        let mut pop = redis::cmd("LPOP");
        pop.arg("journal").arg(READ_MAX);
        let lines: Option<Vec<String>> = pop.query_async(&mut self.line.clone()).await.unwrap();
        lines.unwrap_or_default()
    }

    /// Every effect there is: the job and the token that wrote it last.
    pub async fn effects(&self) -> HashMap<String, i64> {
        redis::cmd("HGETALL").arg("effects").query_async(&mut self.line.clone()).await.unwrap()
    }
}

/// A connection that waits for a busy machine; the library's own patience is half a second.
pub async fn patient_line(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    let minute = Some(Duration::from_mins(1));
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(minute).set_response_timeout(minute);
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}
