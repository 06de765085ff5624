//! Whether a server may be trusted with jobs: its version and what it does when it is full.
//! Of a cluster every node that answers is asked, replicas as well: each may be the primary
//! tomorrow.

use std::collections::{BTreeMap, HashMap};

use super::{Connection, Effort, Request};
use crate::error::QueueError;

/// The oldest Redis that has every command of the scripts, major and minor.
const OLDEST: (u32, u32) = (6, 2);

pub(super) async fn check(connection: &Connection) -> Result<(), QueueError> {
    let info = redis::cmd("INFO");
    let waiting = connection.fork(|options| options.patience = options.wait_at_open);
    let request = Request::Everywhere(&info);
    let texts: BTreeMap<String, String> =
        waiting.run("read INFO", Effort::UntilAnswered, request).await?;
    for (address, text) in texts {
        let alone = address.is_empty();
        let address = if alone { connection.address().to_owned() } else { address };
        check_one(address, &text)?;
    }
    Ok(())
}

fn check_one(address: String, info: &str) -> Result<(), QueueError> {
    let fields: HashMap<&str, &str> =
        info.lines().filter_map(|line| line.split_once(':')).collect();
    // Valkey tells here the version of Redis that it is compatible with.
    let version = fields.get("redis_version").copied().unwrap_or("unknown");
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Err(QueueError::TooOld { address, found: version.to_owned() });
    }
    let policy = fields.get("maxmemory_policy").copied().unwrap_or("unknown");
    if policy != "noeviction" {
        return Err(QueueError::EvictionPolicy { address, policy: policy.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_that_is_refused_is_named() {
        let told = |info: &str| check_one("here:1".into(), info).unwrap_err().to_string();
        let old = told("redis_version:6.0.16\r\nmaxmemory_policy:noeviction\r\n");
        assert!(old.contains("here:1 is version 6.0.16"), "{old}");
        let evicts = told("redis_version:7.0.15\r\nmaxmemory_policy:allkeys-lru\r\n");
        assert!(evicts.contains("here:1 may evict"), "{evicts}");
        let good = "redis_version:6.2.14\r\nmaxmemory_policy:noeviction\r\n";
        assert!(check_one(String::new(), good).is_ok());
    }
}
