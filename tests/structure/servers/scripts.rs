//! What the scripts of `./dev services` say of their servers.

use super::{Said, created_databases, flags, settings};
use std::collections::BTreeMap;

/// `dev-services` and the file of each server.
pub(super) struct Scripts {
    shared: String,
    of_server: BTreeMap<String, String>,
}

impl Scripts {
    /// Reads all of them, by their paths.
    pub(super) fn read(file: impl Fn(&str) -> String) -> Self {
        let shared = file("dev-services");
        let names = between(&shared, "servers=(", ")").split_whitespace();
        let of_server = names.map(|name| (name.to_owned(), file(&format!("services/{name}")))).collect();
        Self { shared, of_server }
    }

    /// The servers' names.
    pub(super) fn servers(&self) -> Vec<String> {
        self.of_server.keys().cloned().collect()
    }

    /// All that they say.
    pub(super) fn said(&self) -> Said {
        let servers = self.of_server.iter();
        servers
            .flat_map(|(server, script)| {
                self.of(server, script).into_iter().map(move |(what, value)| (format!("{server} {what}"), value))
            })
            .collect()
    }

    fn of(&self, server: &str, script: &str) -> Said {
        let variable = |name: &str| between(script, &format!("\n{name}="), "\n").to_owned();
        let program = if server == "s3" { "versitygw" } else { server };
        let mut said = match server {
            "kafka" => kafka(script),
            "postgres" => postgres(script),
            "mongodb" => mongodb(script, variable("mongodb_replica_set")),
            "redis" => written(script, "redis.conf\") <<END\n", ' '),
            "s3" => s3(script, variable("s3_bucket")),
            other => panic!("{other} is a server of which this test does not know what to compare"),
        };
        said.insert("version".to_owned(), variable(&format!("{program}_version")));
        let port = between(&self.shared, &format!("$(port_of {server} "), ")");
        said.insert("port of this machine".to_owned(), port.to_owned());
        said
    }
}

fn kafka(script: &str) -> Said {
    let mut said = written(script, "server.properties\" <<END\n", '=');
    let memory = started_with(script, "kafka").into_iter().filter(|word| word.starts_with("-Xm"));
    said.insert("memory".to_owned(), memory.collect::<Vec<_>>().join(" "));
    said
}

fn postgres(script: &str) -> Said {
    let mut said = settings(&started_with(script, "postgres"));
    said.insert("databases".to_owned(), created_databases(script).join(" "));
    said
}

fn mongodb(script: &str, replica_set: String) -> Said {
    let mut said = flags(&started_with(script, "mongodb"));
    said.insert("replSet".to_owned(), replica_set.clone());
    said.insert("replica set".to_owned(), replica_set);
    said
}

fn s3(script: &str, bucket: String) -> Said {
    let mut said = flags(&started_with(script, "s3"));
    said.insert("bucket".to_owned(), bucket);
    said
}

/// The words of the command with which a server is started.
fn started_with<'a>(script: &'a str, server: &str) -> Vec<&'a str> {
    let body = between(script, &format!("\n{server}_start() {{"), "\n}\n");
    body.split_whitespace().map(|word| word.trim_matches('"')).filter(|word| *word != "\\").collect()
}

/// The settings in a file that a script writes, a name and a value a line.
fn written(script: &str, begin: &str, separator: char) -> Said {
    let pairs = between(script, begin, "\nEND\n").lines().filter_map(|line| line.split_once(separator));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{begin:?} is not found"));
    rest.split_once(end).unwrap_or_else(|| panic!("after {begin:?} there is no {end:?}")).0
}
