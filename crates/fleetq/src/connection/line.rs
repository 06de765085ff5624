//! One open connection, whatever it leads to, and how it is dialled.
//! What must stay true: the Redis library repeats nothing by itself, for it cannot know what may
//! be repeated; and a cluster that has been reached once is found again as long as one of its
//! nodes lives.

use std::io;
use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{
    Arg, AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    Pipeline, RedisError, RedisFuture, Value, from_redis_value,
};

use super::Request;
use super::address::{Sentinels, Target};
use super::options::ConnectOptions;
use crate::error::may_pass;

/// Clones share one connection to each server.
#[derive(Clone)]
pub(super) enum Line {
    One(MultiplexedConnection),
    Cluster {
        nodes: ClusterConnection,
        /// As they were when it was dialled.
        members: Arc<[(String, u16)]>,
        /// Where the last script went: one that is unknown there is loaded there.
        last: Option<SingleNodeRoutingInfo>,
    },
}

/// Dials. `known` are the nodes of the cluster as it was seen last, and are brought up to date.
pub(super) async fn dial(
    target: &Target,
    options: &ConnectOptions,
    known: &mut Vec<ConnectionInfo>,
) -> Result<Line, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connection_timeout))
        .set_response_timeout(Some(options.response_timeout));
    match target {
        Target::One(client) => {
            Ok(Line::One(client.get_multiplexed_async_connection_with_config(&config).await?))
        }
        Target::Sentinel(sentinels) => {
            // The library asks sentinels with waits of its own; this one bounds them together.
            let asking = options.connection_timeout * 2;
            match tokio::time::timeout(asking, dial_primary(sentinels, &config)).await {
                Ok(dialled) => Ok(Line::One(dialled?)),
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            }
        }
        Target::Cluster(seeds) => {
            let mut nodes = dial_cluster(seeds, options, known).await?;
            let mut slots = redis::cmd("CLUSTER");
            slots.arg("SLOTS");
            let slots: Value = slots.query_async(&mut nodes).await?;
            let members = members(&slots);
            // A node that knows of no other leads nowhere next time.
            if !members.is_empty() {
                *known = members.iter().map(|member| addressed(member, &seeds[0])).collect();
            }
            Ok(Line::Cluster { nodes, members: members.into(), last: None })
        }
    }
}

/// Asks the sentinels anew: the primary of a moment ago may be another's replica by now.
async fn dial_primary(
    sentinels: &Sentinels,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError> {
    let mut client = SentinelClient::build(
        sentinels.nodes.clone(),
        sentinels.service.clone(),
        Some(sentinels.server.clone()),
        SentinelServerType::Master,
    )?;
    client.get_async_connection_with_config(config).await
}

async fn dial_cluster(
    seeds: &[ConnectionInfo],
    options: &ConnectOptions,
    known: &[ConnectionInfo],
) -> Result<ClusterConnection, RedisError> {
    let config = ClusterConfig::new()
        .set_connection_timeout(options.connection_timeout)
        .set_response_timeout(options.response_timeout);
    // Without retries of its own: it would send a command again whose reply was lost.
    let client = ClusterClient::builder(seeds.iter().chain(known).cloned()).retries(0).build()?;
    client.get_async_connection_with_config(config).await
}

/// The nodes in an answer to CLUSTER SLOTS, host and port.
fn members(slots: &Value) -> Vec<(String, u16)> {
    let mut found: Vec<(String, u16)> = Vec::new();
    let Value::Array(ranges) = slots else { return Vec::new() };
    for range in ranges {
        let Value::Array(range) = range else { continue };
        for node in range.iter().skip(2) {
            let Value::Array(node) = node else { continue };
            let [host, port, ..] = node.as_slice() else { continue };
            let host: Option<String> = from_redis_value(host.clone()).unwrap_or_default();
            let port: u16 = from_redis_value(port.clone()).unwrap_or_default();
            let Some(host) = host.filter(|host| !host.is_empty()) else { continue };
            if port > 0 && !found.contains(&(host.clone(), port)) {
                found.push((host, port));
            }
        }
    }
    found
}

/// A member, to be used like the node `like`.
fn addressed((host, port): &(String, u16), like: &ConnectionInfo) -> ConnectionInfo {
    let (host, port) = (host.clone(), *port);
    let address = match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            let (insecure, tls_params) = (*insecure, tls_params.clone());
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    like.clone().set_addr(address)
}

impl Line {
    pub(super) async fn send<T: FromRedisValue>(
        &mut self,
        request: &Request<'_>,
    ) -> Result<T, RedisError> {
        let answer: Value = match request {
            Request::Script(invocation) => invocation.invoke_async(self).await,
            Request::Command(command) => command.query_async(self).await,
            Request::Everywhere(command) => {
                let answers = match self {
                    // The address of a server that is alone is known anyway.
                    Self::One(one) => {
                        let answer = command.query_async(one).await?;
                        Value::Map(vec![(Value::SimpleString(String::new()), answer)])
                    }
                    Self::Cluster { nodes, members, .. } => {
                        ask_each(nodes, members, command).await?
                    }
                };
                Ok(answers)
            }
        }
        .map_err(torn_is_lost)?;
        Ok(from_redis_value(answer)?)
    }
}

/// An answer that ends in its middle comes as an error of the parser, though it is the connection
/// that broke.
fn torn_is_lost(error: RedisError) -> RedisError {
    if error.kind() == ErrorKind::Parse {
        return io::Error::new(io::ErrorKind::UnexpectedEof, error).into();
    }
    error
}

/// A node that is away is left out, as long as another answers.
async fn ask_each(
    nodes: &mut ClusterConnection,
    members: &[(String, u16)],
    command: &Cmd,
) -> Result<Value, RedisError> {
    let (mut answers, mut failed) = (Vec::new(), None);
    for (host, port) in members {
        let route = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
        match nodes.route_command(command.clone(), RoutingInfo::SingleNode(route)).await {
            Ok(answer) => {
                let address = Value::SimpleString(format!("{host}:{port}"));
                answers.push((address, answer));
            }
            Err(cause) if may_pass(&cause) => {
                tracing::warn!(node = %format!("{host}:{port}"), %cause, "a node is not asked");
                failed = Some(cause);
            }
            Err(cause) => return Err(cause),
        }
    }
    match failed {
        Some(cause) if answers.is_empty() => Err(cause),
        _ => Ok(Value::Map(answers)),
    }
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(command),
            Self::Cluster { nodes, last, .. } => {
                // A replica that is away must not keep a script from its primary, so it is not
                // loaded everywhere as the library would.
                if is_script_load(command) {
                    if let Some(route) = last.clone() {
                        let there = RoutingInfo::SingleNode(route);
                        return Box::pin(nodes.route_command(command.clone(), there));
                    }
                } else if let Some(key) = script_key(command) {
                    let route = Route::with_key(key, SlotAddr::Master);
                    *last = Some(SingleNodeRoutingInfo::SpecificNode(route));
                }
                nodes.req_packed_command(command)
            }
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster { nodes, .. } => nodes.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster { nodes, .. } => nodes.get_db(),
        }
    }
}

fn is_script_load(command: &Cmd) -> bool {
    word(command, 0) == Some(b"SCRIPT") && word(command, 1) == Some(b"LOAD")
}

/// The first key of a script: all of them lie in one slot.
fn script_key(command: &Cmd) -> Option<&[u8]> {
    if word(command, 0) != Some(b"EVALSHA") || word(command, 2) == Some(b"0") {
        return None;
    }
    word(command, 3)
}

fn word(command: &Cmd, at: usize) -> Option<&[u8]> {
    match command.args_iter().nth(at) {
        Some(Arg::Simple(word)) => Some(word),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_loaded_where_its_keys_lie() {
        let mut call = redis::cmd("EVALSHA");
        call.arg("0123").arg(2).arg("{a:b}:one").arg("{a:b}:two").arg("rest");
        assert_eq!(script_key(&call), Some(&b"{a:b}:one"[..]));
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg("return 1");
        assert!(is_script_load(&load) && !is_script_load(&call));
        assert_eq!(script_key(&load), None);
    }

    #[test]
    fn the_members_of_a_cluster_are_used_like_its_first_node() {
        let text = |text: &str| Value::BulkString(text.into());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range =
            |nodes: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(9)], nodes].concat());
        let slots = Value::Array(vec![
            range(vec![node(text("a"), 1), node(text("b"), 2)]),
            range(vec![node(text("b"), 2), node(Value::Nil, 3)]),
        ]);
        let found = members(&slots);
        assert_eq!(found, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let like = redis::IntoConnectionInfo::into_connection_info("redis://u:p@seed:9/").unwrap();
        let member = addressed(&found[1], &like);
        assert_eq!(member.addr().to_string(), "b:2");
        assert_eq!(member.redis_settings().password(), Some("p"));
    }
}
