//! What a run is asked to do. Everything that is `None` is scaled from the number of people in the graph.
//!
//! The plan of a run follows from these options alone; only the names' suffix and the keys differ between two runs, so
//! that a server may be loaded twice.

use std::path::PathBuf;

use crate::graph::Graph;

/// So many delete their accounts, however few people there are.
const LEAVES_MIN: usize = 3;

/// The options of one run; [`Options::new`] fills in the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server to load.
    pub target: Target,
    /// Who exists and who follows whom.
    pub source: Source,
    /// Posts to publish; by default 6 for each person.
    pub posts: Option<usize>,
    /// Comments to write; by default 11 for each person.
    pub comments: Option<usize>,
    /// Likes; by default 35 for each person. Nobody likes a post twice, so a small graph may hold fewer.
    pub likes: Option<usize>,
    /// Edits of posts; by default 4 % of the posts.
    pub edits: Option<usize>,
    /// Posts to delete, with what lies under them; by default 3 % of the posts.
    pub post_deletes: Option<usize>,
    /// Comments to delete; by default 4 % of the comments.
    pub comment_deletes: Option<usize>,
    /// Likes to take back; by default 5 % of the likes. A third of them is given again.
    pub unlikes: Option<usize>,
    /// Follows to end; by default 3 % of the follows. Half of them begin again.
    pub unfollows: Option<usize>,
    /// Bios to write; by default 70 for 100 people, some of them twice.
    pub bios: Option<usize>,
    /// People who take another username (`PUT /users/me {username}`); by default 1 % of the people, 0 for none.
    pub renames: Option<usize>,
    /// People who delete their accounts in the end; by default 2 % of the people, and 3 at least. Half of them stay.
    pub leaves: Option<usize>,
    /// The seed of every choice in the plan.
    pub seed: u64,
    /// How often the server is killed (SIGKILL) and restarted during the load; needs [`Target::Own`]. In turn, if
    /// there are several, and a broker.
    pub kills: usize,
    /// Requests in flight at once, and so the number of connections.
    pub concurrency: usize,
    /// How many posts of a feed are compared at most, for a server that promises no more; `None` compares all.
    pub feed_depth_max: Option<usize>,
    /// Whether to show progress on stderr: bars on a terminal, lines otherwise.
    pub progress: bool,
}

/// The server to load.
#[derive(Debug, Clone)]
pub enum Target {
    /// A server that runs already, by its base URL (`http://host:port`; plain HTTP only).
    Running(String),
    /// Servers that are started, killed and stopped by the demo: one, or several nodes over one log.
    Own {
        /// At least one.
        nodes: Vec<OwnServer>,
        /// The servers that they need and that are to be killed too, such as the broker of their log.
        services: Vec<OwnService>,
    },
}

/// A server of another kind that the demo kills and has started again.
#[derive(Debug, Clone)]
pub struct OwnService {
    /// What it is, for the report.
    pub kind: &'static str,
    /// A shell command that ends it with SIGKILL, and returns when it is gone.
    pub kill: String,
    /// A shell command that starts it, and returns when it answers.
    pub up: String,
}

/// How to start a server: `EXE serve --data DATA --listen 127.0.0.1:PORT ARGS...`.
#[derive(Debug, Clone)]
pub struct OwnServer {
    /// The server's executable.
    pub exe: PathBuf,
    /// Its data directory; a fresh one, unless the run is to be added to what is there.
    pub data: PathBuf,
    /// The file that its output is appended to; by default `tidings-demo.log` beside the data directory.
    pub log: Option<PathBuf>,
    /// More arguments, after those above.
    pub args: Vec<String>,
    /// Environment variables to set, such as those that switch the rate limits off.
    pub env: Vec<(String, String)>,
}

/// Where the graph comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file of friendships, one `a b` a line; each is two follows. Blank lines and those that begin with `#` or `%`
    /// are skipped, as are repeated friendships and those with oneself.
    File(PathBuf),
    /// A generated graph of so many people, whose numbers of followers are heavy tailed.
    People(usize),
}

impl Options {
    /// The defaults: 32 connections, no kill, amounts from the number of people, no progress.
    pub fn new(target: Target, source: Source) -> Self {
        Self {
            target,
            source,
            posts: None,
            comments: None,
            likes: None,
            edits: None,
            post_deletes: None,
            comment_deletes: None,
            unlikes: None,
            unfollows: None,
            bios: None,
            renames: None,
            leaves: None,
            seed: 1,
            kills: 0,
            concurrency: 32,
            feed_depth_max: None,
            progress: false,
        }
    }

    pub(crate) fn volume(&self, graph: &Graph) -> Volume {
        let posts = self.posts.unwrap_or(graph.people * 6);
        let comments = self.comments.unwrap_or(graph.people * 11);
        let likes = self.likes.unwrap_or(graph.people * 35);
        let percent = |share: usize, of: usize| (of * share).div_ceil(100);
        let unlikes = self.unlikes.unwrap_or(percent(5, likes));
        let unfollows = self.unfollows.unwrap_or(percent(3, graph.follows.len()));
        Volume {
            posts,
            comments,
            likes,
            edits: self.edits.unwrap_or(percent(4, posts)),
            post_deletes: self.post_deletes.unwrap_or(percent(3, posts)),
            comment_deletes: self.comment_deletes.unwrap_or(percent(4, comments)),
            unlikes,
            likes_again: unlikes / 3,
            unfollows,
            follows_again: unfollows / 2,
            bios: self.bios.unwrap_or(percent(70, graph.people)),
            renames: self.renames.unwrap_or(percent(1, graph.people)).min(graph.people),
            leaves: self.leaves.unwrap_or(percent(2, graph.people).max(LEAVES_MIN)).min(graph.people / 2),
            logouts: percent(3, graph.people),
            refusals: percent(10, graph.people).max(5),
        }
    }
}

/// How much of everything a plan holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Volume {
    pub(crate) posts: usize,
    pub(crate) comments: usize,
    pub(crate) likes: usize,
    pub(crate) edits: usize,
    pub(crate) post_deletes: usize,
    pub(crate) comment_deletes: usize,
    pub(crate) unlikes: usize,
    pub(crate) likes_again: usize,
    pub(crate) unfollows: usize,
    pub(crate) follows_again: usize,
    pub(crate) bios: usize,
    pub(crate) renames: usize,
    pub(crate) leaves: usize,
    pub(crate) logouts: usize,
    /// Of each kind of request that must be refused or change nothing.
    pub(crate) refusals: usize,
}
