//! What `compose.yaml` says, read as far as it is written there: keys by their indentation, lists of one value a line or in
//! brackets. Whether it is a Compose file at all `./dev compose-check` says.

use super::{Said, created_databases, flags, settings};
use std::collections::BTreeSet;

/// The values of a file, each under its path, such as `services.redis.image`; a list's have its path each.
pub(super) struct Compose {
    text: String,
    keys: BTreeSet<String>,
    values: Vec<(String, String)>,
}

impl Compose {
    /// Reads a file of this text.
    pub(super) fn read(text: &str) -> Self {
        let (mut keys, mut values) = (BTreeSet::new(), Vec::new());
        let mut path: Vec<(usize, &str)> = Vec::new();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let content = line.trim_start();
            let indentation = line.len() - content.len();
            let item = content.strip_prefix("- ");
            let key = content
                .split_once(':')
                .filter(|(key, rest)| is_name(key) && (rest.is_empty() || rest.starts_with(' ')));
            let value = match (item, key) {
                (Some(item), _) => item,
                (None, Some((key, value))) => {
                    path.retain(|(outer, _)| *outer < indentation);
                    path.push((indentation, key));
                    value.trim()
                }
                (None, None) => content,
            };
            let at = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            keys.insert(at.clone());
            values.extend(parts(value).map(|part| (at.clone(), part.to_owned())));
        }
        Self { text: text.to_owned(), keys, values }
    }

    /// Whether there is anything of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.keys.contains(path)
    }

    /// All values, with their paths.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(path, value)| (path.as_str(), value.as_str()))
    }

    /// The values under this path.
    pub(super) fn list(&self, path: &str) -> Vec<&str> {
        self.all().filter(|(at, _)| *at == path).map(|(_, value)| value).collect()
    }

    /// The only value there, or the first of a list; nothing if there is none.
    pub(super) fn first(&self, path: &str) -> &str {
        self.list(path).first().copied().unwrap_or("")
    }

    /// All that it says of these servers.
    pub(super) fn said(&self, servers: &[String]) -> Said {
        let named = |server: &String| {
            self.of(server).into_iter().map(|(what, value)| (format!("{server} {what}"), value)).collect::<Vec<_>>()
        };
        servers.iter().flat_map(named).collect()
    }

    fn of(&self, server: &str) -> Said {
        let command = self.list(&format!("services.{server}.command"));
        let mut said = match server {
            "kafka" => self.kafka(),
            "postgres" => settings(&command),
            _ => flags(&command),
        };
        let mut say = |what: &str, value: &str| said.insert(what.to_owned(), value.to_owned());
        let (_, tag) = self.first(&format!("services.{server}.image")).split_once(':').unwrap_or_default();
        say("version", tag);
        say("port of this machine", self.port(server));
        match server {
            "postgres" => {
                let mut databases = created_databases(&self.text);
                databases.push(self.first("services.postgres.environment.POSTGRES_DB"));
                databases.sort_unstable();
                say("databases", &databases.join(" "));
            }
            "mongodb" => {
                let made = self.text.split_once("rs.initiate({ _id: \"").and_then(|(_, rest)| rest.split_once('"'));
                say("replica set", made.unwrap_or_default().0);
            }
            "s3" => {
                let made = self.text.split_once("mkdir -p /s3/data/").and_then(|(_, rest)| rest.split_once(' '));
                say("bucket", made.unwrap_or_default().0);
            }
            _ => {}
        }
        said
    }

    /// The image makes properties of its environment.
    fn kafka(&self) -> Said {
        let settings = self
            .all()
            .filter_map(|(path, value)| Some((path.strip_prefix("services.kafka.environment.KAFKA_")?, value)));
        let named = settings.map(|(name, value)| match name {
            "HEAP_OPTS" => ("memory".to_owned(), value.to_owned()),
            name => (name.to_lowercase().replace('_', "."), value.to_owned()),
        });
        named.collect()
    }

    /// The port of this machine, unless the variable of that server names another.
    fn port(&self, server: &str) -> &str {
        let begin = format!("127.0.0.1:${{TIDINGS_{}_PORT:-", server.to_uppercase());
        let published = self.first(&format!("services.{server}.ports"));
        published.strip_prefix(&begin).and_then(|rest| rest.split_once('}')).unwrap_or_default().0
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// The values of a list in brackets, or the one value.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let inside = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let parts: Vec<_> = inside.map_or_else(|| vec![value], |inside| inside.split(", ").collect());
    parts.into_iter().filter(|part| !part.is_empty()).map(|part| part.trim_matches('"'))
}
