//! Users and posts for a load, made through the owners, and the commands by which these users act.
//!
//! They register by the saga, with sealed addresses, names and password hashes; the hash is a cheap one, so that
//! thousands can sign in over HTTP before the load begins.

use crate::closed_loop::Client;
use crate::node::{Node, accept};
use crate::script::{Act, Load, Script, content, remark};
use anyhow::{Context, Result, anyhow, bail};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version, password_hash::phc};
use commands::{
    Command, CommentCommand, FollowCommand, LikeCommand, PostCommand, Request, Router, SagaCommand, UserCommand,
};
use events::{
    Bio, CipherKey, CommandId, CommentId, CommentText, Content, Email, Hashtags, Key, Keyring, PasswordHash,
    PostDrafted, PostId, SagaId, Sealed, Timestamp, UserId, Username,
};
use sagas::post_creation::{self, PostCreationData};
use sagas::registration::RegistrationData;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// How long a command may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Registrations and posts in flight while a population is made.
const MAKING: usize = 256;

/// Who acts, and on what.
pub(crate) struct People {
    users: Vec<Person>,
    posts: Vec<PostId>,
}

struct Person {
    id: UserId,
    cipher: Arc<CipherKey>,
}

/// The address of the `n`th user.
pub(crate) fn email(n: usize) -> String {
    format!("person{n}@example.com")
}

impl People {
    /// Registers so many users, with a bio each, and publishes so many posts by them.
    pub(crate) async fn settle(node: &Node, users: usize, posts: usize) -> Result<Arc<Self>> {
        let hash = Arc::new(cheap_hash()?);
        let (router, keyring) = (node.router.clone(), Arc::clone(&node.keyring));
        let users =
            making(users, move |n| register(router.clone(), Arc::clone(&keyring), Arc::clone(&hash), n)).await?;
        let people = Arc::new(Self { users, posts: (0..posts).map(|_| PostId(Uuid::now_v7())).collect() });
        let (router, authors) = (node.router.clone(), Arc::clone(&people));
        making(posts, move |n| {
            let (router, people) = (router.clone(), Arc::clone(&authors));
            async move {
                let author = &people.users[n % people.users.len()];
                accept(&router, author.publish(people.posts[n], n)?).await
            }
        })
        .await?;
        Ok(people)
    }

    pub(crate) fn users(&self) -> impl ExactSizeIterator<Item = UserId> {
        self.users.iter().map(|person| person.id)
    }

    pub(crate) fn posts(&self) -> &[PostId] {
        &self.posts
    }

    pub(crate) fn script(&self, load: Load) -> Arc<Script> {
        Arc::new(Script::new(load, self.users.len(), self.posts.len()))
    }

    /// Clients that carry out a script through the router.
    pub(crate) fn clients(self: &Arc<Self>, router: &Router, script: &Arc<Script>, clients: usize) -> Vec<Actor> {
        let actor = || Actor { people: Arc::clone(self), router: router.clone(), script: Arc::clone(script) };
        (0..clients).map(|_| actor()).collect()
    }

    /// The `n`th post of a load, as one plain commit.
    pub(crate) fn publication(&self, n: usize) -> Result<Request> {
        self.users[n % self.users.len()].publish(PostId(Uuid::now_v7()), n)
    }

    /// The same by its saga; answered when it is published.
    pub(crate) fn creation(&self, n: usize) -> Result<Request> {
        self.users[n % self.users.len()].create(PostId(Uuid::now_v7()), n)
    }

    /// What carries out an act.
    pub(crate) fn request(&self, act: Act) -> Result<Request> {
        let request = match act {
            Act::Publish { author } => self.users[author].publish(PostId(Uuid::now_v7()), author)?,
            Act::Comment { author, post } => {
                let (person, post) = (&self.users[author], self.posts[post]);
                let text = Sealed::seal(&CommentText::parse(&remark(author))?, &person.cipher);
                let comment = CommentId(Uuid::now_v7());
                let command = CommentCommand::Add { comment, post, author: person.id, text };
                person.request(Key::Post(post), command)
            }
            Act::Like { user, post } => {
                let (person, post) = (&self.users[user], self.posts[post]);
                person.request(Key::Post(post), LikeCommand::Add { post, user: person.id })
            }
            Act::Follow { follower, followee } => {
                let (person, followee) = (&self.users[follower], self.users[followee].id);
                person.request(Key::User(person.id), FollowCommand::Start { follower: person.id, followee })
            }
            Act::Read { .. } => bail!("a read is no command"),
        };
        Ok(request)
    }
}

impl Person {
    fn publish(&self, post: PostId, n: usize) -> Result<Request> {
        let PostDrafted { post, author, content, hashtags, mentions } = self.draft(post, n)?;
        Ok(self.request(Key::Post(post), PostCommand::Publish { post, author, content, hashtags, mentions }))
    }

    fn create(&self, post: PostId, n: usize) -> Result<Request> {
        let with = post_creation::opening(&self.draft(post, n)?);
        let data = PostCreationData { post, author: self.id }.into();
        let start = SagaCommand::Start { saga: SagaId(Uuid::now_v7()), data, with };
        Ok(Request { until_saga_ends: true, ..self.request(Key::Post(post), start) })
    }

    fn draft(&self, post: PostId, n: usize) -> Result<PostDrafted> {
        let text = content(n);
        let tags = text.split(' ').filter_map(|word| word.strip_prefix('#')).map(str::to_owned).collect::<Vec<_>>();
        Ok(PostDrafted {
            post,
            author: self.id,
            content: Sealed::seal(&Content::parse(&text)?, &self.cipher),
            hashtags: (!tags.is_empty()).then(|| Sealed::seal(&Hashtags(tags), &self.cipher)),
            mentions: None,
        })
    }

    fn request(&self, key: Key, command: impl Into<Command>) -> Request {
        request(self.id, key, command)
    }
}

fn request(actor: UserId, key: Key, command: impl Into<Command>) -> Request {
    let deadline = Instant::now() + ANSWER_MAX;
    let request = Request::new(CommandId(Uuid::now_v7()), key, command, Timestamp::now(), deadline);
    Request { actor: Some(actor), ..request }
}

/// Somebody who carries out what the script says next.
pub(crate) struct Actor {
    people: Arc<People>,
    router: Router,
    script: Arc<Script>,
}

impl Client for Actor {
    async fn ask(&mut self) -> Result<()> {
        let request = self.people.request(self.script.next())?;
        accept(&self.router, request).await
    }
}

async fn register(router: Router, keyring: Arc<dyn Keyring>, hash: Arc<PasswordHash>, n: usize) -> Result<Person> {
    let id = UserId(Uuid::now_v7());
    let cipher = keyring.create(id.into()).await?;
    let (email, username) = (Email::parse(&email(n))?, Username::parse(&format!("person_{n}"))?);
    let secrets = keyring.secrets();
    let data = RegistrationData {
        user: id,
        email: Sealed::seal(&email, &cipher),
        username: Sealed::seal(&username, &cipher),
        password: Sealed::seal(&*hash, &cipher),
        email_claim: secrets.claim("email", &email.folded()),
        username_claim: secrets.claim("username", &username.folded()),
    };
    let command = SagaCommand::Start { saga: SagaId(Uuid::now_v7()), data: data.into(), with: serde_json::Value::Null };
    let start = Request { until_saga_ends: true, ..request(id, Key::User(id), command) };
    accept(&router, start).await.with_context(|| format!("registering {n}"))?;
    let bio = Sealed::seal(&Bio::parse(&format!("Writes about the harbour, number {n}"))?, &cipher);
    accept(&router, request(id, Key::User(id), UserCommand::ChangeBio { user: id, bio: Some(bio) })).await?;
    Ok(Person { id, cipher })
}

fn cheap_hash() -> Result<PasswordHash> {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).map_err(|error| anyhow!("{error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hashed = argon2.hash_password_with_salt(PASSWORD.as_bytes(), b"salt for a bench");
    let hash: phc::PasswordHash = hashed.map_err(|error| anyhow!("{error}"))?;
    Ok(PasswordHash::new(hash.to_string()))
}

/// Makes so many of something, [`MAKING`] at a time; the result is in order.
async fn making<T: Send + 'static, F>(
    count: usize,
    make: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>> + Send,
{
    let mut makers = JoinSet::new();
    for first in 0..MAKING.min(count) {
        let make = make.clone();
        makers.spawn(async move {
            let mut made = Vec::new();
            for n in (first..count).step_by(MAKING) {
                made.push((n, make(n).await?));
            }
            anyhow::Ok(made)
        });
    }
    let mut all = Vec::new();
    while let Some(made) = makers.join_next().await {
        all.extend(made??);
    }
    all.sort_unstable_by_key(|(n, _)| *n);
    Ok(all.into_iter().map(|(_, it)| it).collect())
}
