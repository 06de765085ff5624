//! Where a url leads: to one server, to a cluster, or to whichever server the sentinels name.
//! What must stay true: what is shown of an address never holds a password.

use redis::sentinel::SentinelNodeConnectionInfo;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, TlsMode,
};

/// What is dialled.
#[derive(Debug, Clone)]
pub(super) enum Target {
    One(Client),
    /// The nodes that are asked first for all the others.
    Cluster(Vec<ConnectionInfo>),
    Sentinel(Sentinels),
}

/// The sentinels, and how to use the server they name.
#[derive(Debug, Clone)]
pub(super) struct Sentinels {
    pub(super) nodes: Vec<ConnectionInfo>,
    pub(super) service: String,
    pub(super) server: SentinelNodeConnectionInfo,
}

impl Target {
    /// Reads a url; see [`connect`](crate::connect) for its forms.
    pub(super) fn parse(url: &str) -> Result<Self, RedisError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Ok(Self::One(Client::open(url)?));
        };
        match scheme {
            "redis+cluster" | "valkey+cluster" => cluster("redis", rest),
            "rediss+cluster" | "valkeys+cluster" => cluster("rediss", rest),
            "redis+sentinel" | "valkey+sentinel" => sentinel("redis", rest),
            "rediss+sentinel" | "valkeys+sentinel" => sentinel("rediss", rest),
            _ => Ok(Self::One(Client::open(url)?)),
        }
    }

    /// Hosts and ports or the socket's path, without credentials.
    pub(super) fn address(&self) -> String {
        match self {
            Self::One(client) => client.get_connection_info().addr().to_string(),
            Self::Cluster(nodes) => format!("{} (cluster)", hosts(nodes)),
            Self::Sentinel(Sentinels { nodes, service, .. }) => {
                format!("{} (sentinels of {service})", hosts(nodes))
            }
        }
    }
}

fn hosts(nodes: &[ConnectionInfo]) -> String {
    let hosts: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
    hosts.join(",")
}

fn cluster(scheme: &str, rest: &str) -> Result<Target, RedisError> {
    let parts = Parts::read(rest);
    if !matches!(parts.path, "" | "0") {
        return refuse("a cluster has database 0 alone");
    }
    if !parts.query.is_empty() {
        return refuse("nothing may follow the hosts of a cluster");
    }
    Ok(Target::Cluster(parts.nodes(scheme, parts.login, "")?))
}

fn sentinel(scheme: &str, rest: &str) -> Result<Target, RedisError> {
    let parts = Parts::read(rest);
    let (service, database) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if service.is_empty() {
        return refuse("the name of the service is missing after the sentinels");
    }
    let (mut user, mut password) = ("", "");
    for entry in parts.query.split('&').filter(|entry| !entry.is_empty()) {
        match entry.split_once('=') {
            Some(("sentinel_user", value)) => user = value,
            Some(("sentinel_pass", value)) => password = value,
            _ => return refuse("after `?` only sentinel_user and sentinel_pass are known"),
        }
    }
    let login = if password.is_empty() { String::new() } else { format!("{user}:{password}") };
    let nodes = parts.nodes(scheme, &login, "")?;
    // Only the login and the database of it are used; the sentinels name the host.
    let server = parts.nodes(scheme, parts.login, database)?.swap_remove(0);
    let mut info = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(server.redis_settings().clone());
    if matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
        info = info.set_tls_mode(TlsMode::Secure);
    }
    Ok(Target::Sentinel(Sentinels { nodes, service: service.to_owned(), server: info }))
}

/// `login@hosts/path?query`, as it stands in the url.
struct Parts<'a> {
    login: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn read(rest: &'a str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        Self { login, hosts, path: path.trim_end_matches('/'), query }
    }

    /// Each host as an address of its own, read by the Redis library, which knows the encoding.
    fn nodes(
        &self,
        scheme: &str,
        login: &str,
        database: &str,
    ) -> Result<Vec<ConnectionInfo>, RedisError> {
        let mut nodes = Vec::new();
        for host in self.hosts.split(',') {
            if host.is_empty() {
                return refuse("a host is missing between the commas");
            }
            let url = match login {
                "" => format!("{scheme}://{host}/{database}"),
                login => format!("{scheme}://{login}@{host}/{database}"),
            };
            nodes.push(url.into_connection_info()?);
        }
        Ok(nodes)
    }
}

fn refuse<T>(why: &'static str) -> Result<T, RedisError> {
    Err(RedisError::from((ErrorKind::InvalidClientConfig, why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> String {
        Target::parse(url).unwrap().address()
    }

    #[test]
    fn addresses_show_hosts_and_no_password() {
        for (url, shown) in [
            ("redis://me:secret@here:1/2", "here:1"),
            ("redis+unix:///run/redis.sock", "/run/redis.sock"),
            ("redis+cluster://me:sec%2Fret@a:1,b:2", "a:1,b:2 (cluster)"),
            ("redis+cluster://[::1]:7000,b/0", "::1:7000,b:6379 (cluster)"),
            ("redis+sentinel://:secret@a:1,b:2/eyes/3", "a:1,b:2 (sentinels of eyes)"),
        ] {
            assert_eq!(address(url), shown, "{url}");
        }
    }

    #[test]
    fn the_login_of_sentinels_is_not_that_of_the_server() {
        let url = "redis+sentinel://me:sec%40ret@a:1/eyes/3?sentinel_user=s&sentinel_pass=p";
        let Target::Sentinel(sentinels) = Target::parse(url).unwrap() else { panic!("{url}") };
        let login = sentinels.nodes[0].redis_settings();
        assert_eq!((login.username(), login.password()), (Some("s"), Some("p")));
        let Target::Sentinel(plain) = Target::parse("redis+sentinel://me:x@a:1/eyes").unwrap()
        else {
            panic!("{url}")
        };
        assert_eq!(plain.nodes[0].redis_settings().password(), None);
    }

    #[test]
    fn what_is_missing_or_too_much_is_told_without_the_url() {
        for (url, told) in [
            ("redis+cluster://me:secret@a:1/3", "database 0 alone"),
            ("redis+cluster://me:secret@a:1,,b:2", "a host is missing"),
            ("redis+cluster://me:secret@", "a host is missing"),
            ("redis+cluster://a:1?x=secret", "nothing may follow"),
            ("redis+sentinel://me:secret@a:1", "the name of the service is missing"),
            ("redis+sentinel://a:1/eyes?x=secret", "only sentinel_user"),
        ] {
            let error = Target::parse(url).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
