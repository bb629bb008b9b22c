//! The node that a prompt talks to: it is followed through redirections, and connected to again when it was lost.

use anyhow::{Context as _, Result, anyhow};
use carousel_client::{Address, ConnectOptions, Connection, Redirect, Reply, RequestError};
use tokio::sync::mpsc;

use crate::ask::Target;

/// Redirections of one command that are followed. Slots move one hop at a time, so a longer chain means that nodes
/// disagree for the moment.
const REDIRECTS_MAX: usize = 8;

/// What `cli`'s options say about talking to nodes.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Greet with `HELLO 3`.
    pub resp3: bool,
    /// Go where `MOVED` and `ASK` point.
    pub follow: bool,
    /// Where pushes go.
    pub pushes: Option<mpsc::Sender<Vec<Reply>>>,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    target: Target,
    manners: Manners,
    connection: Option<Connection>,
}

/// How a command ended.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// With this reply, which may be an error.
    Reply(Reply),
    /// With the connection, as `SHUTDOWN` does.
    Gone,
}

impl Session {
    /// Not connected yet.
    pub fn new(target: Target, manners: Manners) -> Self {
        Self { target, manners, connection: None }
    }

    /// The node at which the next command arrives.
    pub fn node(&self) -> &Address {
        &self.target.node
    }

    /// Is there a connection, as far as is known?
    pub fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.is_closed())
    }

    /// Connects unless that is done.
    ///
    /// # Errors
    /// One line.
    pub async fn connect(&mut self) -> Result<()> {
        self.connected(self.target.password.clone()).await.map(|_| ())
    }

    /// Gives up whatever is under way.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Sends a command, connecting first where there is no connection; goes on to other nodes as they say, and tells
    /// `heard` of each.
    ///
    /// # Errors
    /// One line: no connection, or one that broke, and then whether the command may have been executed.
    pub async fn ask(&mut self, command: &[Vec<u8>], mut heard: impl FnMut(&Redirect)) -> Result<Answer> {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let typed = Greeting::of(&words);
        let mut answer = self.send(&words, &typed).await?;
        let mut from = self.target.node.clone();
        for _ in 0..REDIRECTS_MAX {
            let Some(redirect) = self.redirect(&answer, &from) else { break };
            heard(&redirect);
            from = redirect.to.clone();
            answer = if redirect.ask {
                self.send_asking(&redirect, &words).await?
            } else {
                self.move_to(&redirect).await?;
                self.send(&words, &typed).await?
            };
        }
        if let Answer::Reply(reply) = &answer
            && reply.as_error().is_none()
        {
            self.learn(typed);
        }
        Ok(answer)
    }

    fn redirect(&self, answer: &Answer, from: &Address) -> Option<Redirect> {
        match answer {
            Answer::Reply(Reply::Error(text)) if self.manners.follow => Redirect::parse(text, from),
            Answer::Reply(_) | Answer::Gone => None,
        }
    }

    /// A login or protocol that was accepted also holds for the connections to come.
    fn learn(&mut self, typed: Greeting) {
        if typed.password.is_some() {
            self.target.password = typed.password;
        }
        if let Some(resp3) = typed.resp3 {
            self.manners.resp3 = resp3;
        }
    }

    async fn send(&mut self, words: &[&[u8]], typed: &Greeting) -> Result<Answer> {
        // A node that wants a password takes no connection without one, so `AUTH` makes one with its own.
        let password = typed.password.clone().or_else(|| self.target.password.clone());
        let reply = match self.connected(password.clone()).await?.request(words).await {
            // The connection was lost while nobody looked: nothing was sent, so this is no repetition.
            Err(RequestError::NotSent { .. }) => {
                self.disconnect();
                self.connected(password).await?.request(words).await
            }
            reply => reply,
        };
        if reply.is_err() {
            self.disconnect();
        }
        match reply {
            Ok(reply) => Ok(Answer::Reply(reply)),
            Err(RequestError::Unknown { .. }) if words[0].eq_ignore_ascii_case(b"SHUTDOWN") => {
                Ok(Answer::Gone)
            }
            Err(error) => Err(broken(&self.target.node, &error)),
        }
    }

    /// Only this command goes there: the slot is still on its way.
    async fn send_asking(&self, redirect: &Redirect, words: &[&[u8]]) -> Result<Answer> {
        let target = self.target.at(redirect.to.clone());
        let connection =
            target.connect_with(&self.options(&target)).await.with_context(|| sent_on(redirect))?;
        let reply = connection.request_asking(words).await;
        reply.map(Answer::Reply).map_err(|error| broken(&redirect.to, &error))
    }

    /// Stays where it is if there is no connection to be had.
    async fn move_to(&mut self, redirect: &Redirect) -> Result<()> {
        let target = self.target.at(redirect.to.clone());
        let connection =
            target.connect_with(&self.options(&target)).await.with_context(|| sent_on(redirect))?;
        (self.target, self.connection) = (target, Some(connection));
        Ok(())
    }

    async fn connected(&mut self, password: Option<String>) -> Result<&Connection> {
        if !self.is_connected() {
            let target = Target { node: self.target.node.clone(), password };
            self.connection = Some(target.connect_with(&self.options(&target)).await?);
        }
        Ok(self.connection.as_ref().expect("just made"))
    }

    fn options(&self, target: &Target) -> ConnectOptions {
        ConnectOptions {
            resp3: self.manners.resp3,
            pushes: self.manners.pushes.clone(),
            ..target.connect_options()
        }
    }
}

fn sent_on(redirect: &Redirect) -> String {
    format!("sent on to the node of slot {}", redirect.slot)
}

fn broken(node: &Address, error: &RequestError) -> anyhow::Error {
    match error {
        RequestError::NotSent { why } => anyhow!("{node} broke the connection ({why}); nothing was sent"),
        RequestError::Unknown { why } => anyhow!(
            "{node} broke the connection ({why}): whether the command took effect is not known; look before you send \
             it again"
        ),
    }
}

/// What an `AUTH` or `HELLO` asks for.
#[derive(Debug, Default, PartialEq)]
struct Greeting {
    /// Of the user `default`: nodes know no other.
    password: Option<String>,
    resp3: Option<bool>,
}

impl Greeting {
    fn of(words: &[&[u8]]) -> Self {
        let is = |index: usize, name: &str| {
            words.get(index).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        let text = |word: &[u8]| String::from_utf8(word.to_vec()).ok();
        match words {
            [_, password] if is(0, "AUTH") => Self { password: text(password), resp3: None },
            [_, b"default", password] if is(0, "AUTH") => Self { password: text(password), resp3: None },
            [_, version, rest @ ..] if is(0, "HELLO") => {
                let login = rest.windows(3).find(|login| login[0].eq_ignore_ascii_case(b"AUTH"));
                let password = login.filter(|login| login[1] == b"default").and_then(|login| text(login[2]));
                Self { password, resp3: Some(*version == b"3") }
            }
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_client::mock::{Act, MockServer, listener};

    fn session(server: &MockServer, follow: bool) -> Session {
        let target = Target { node: server.address().clone(), password: None };
        Session::new(target, Manners { resp3: false, follow, pushes: None })
    }

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    async fn ask(session: &mut Session, line: &str) -> String {
        match session.ask(&words(line), |_| {}).await {
            Ok(Answer::Reply(reply)) => format!("{reply:?}"),
            Ok(Answer::Gone) => "gone".into(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[tokio::test]
    async fn moved_is_followed_and_stayed_at_while_ask_is_for_one_command() {
        let (to, there) = listener().await;
        let there_now = MockServer::on(to, |_| Act::bulk(b"there"));
        let moved = format!("MOVED 866 {there}");
        let ask_there = format!("ASK 866 {there}");
        let here = MockServer::start(move |seen| match seen.words.as_str() {
            "GET moved" => Act::error(&moved),
            "GET asked" => Act::error(&ask_there),
            _ => Act::bulk(b"here"),
        })
        .await;
        let mut session = session(&here, true);
        let mut heard = Vec::new();
        session
            .ask(&words("GET asked"), |redirect| heard.push((redirect.ask, redirect.slot.get())))
            .await
            .unwrap();
        assert_eq!(there_now.seen()[0].words, "ASKING");
        assert_eq!(session.node(), here.address());
        session
            .ask(&words("GET moved"), |redirect| heard.push((redirect.ask, redirect.slot.get())))
            .await
            .unwrap();
        assert_eq!(session.node(), there_now.address());
        assert_eq!(heard, [(true, 866), (false, 866)]);
        assert_eq!(there_now.count("ASKING"), 1);
        session.ask(&words("GET k"), |_| {}).await.unwrap();
        assert_eq!(here.count("GET k"), 0);
    }

    #[tokio::test]
    async fn redirections_are_shown_where_they_are_not_to_be_followed_and_where_they_do_not_end() {
        let (socket, node) = listener().await;
        let moved = format!("MOVED 1 {node}");
        let server = MockServer::on(socket, move |_| Act::error(&moved));
        let mut still = session(&server, false);
        assert!(ask(&mut still, "GET k").await.contains("MOVED 1"));
        assert_eq!(server.count("GET k"), 1);
        let mut follows = session(&server, true);
        assert!(ask(&mut follows, "GET k").await.contains("MOVED 1"));
        assert_eq!(server.count("GET k"), 1 + 1 + REDIRECTS_MAX);
    }

    #[tokio::test]
    async fn a_redirection_to_a_dead_node_names_it_and_leaves_the_session_where_it_was() {
        let (socket, dead) = listener().await;
        drop(socket);
        let moved = format!("MOVED 1 {dead}");
        let server = MockServer::start(move |_| Act::error(&moved)).await;
        let mut session = session(&server, true);
        let said = ask(&mut session, "GET k").await;
        let expected =
            format!("sent on to the node of slot 1: cannot connect to {dead}: connection refused; ");
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(session.node(), server.address());
        assert!(session.is_connected());
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_told_and_made_anew_for_the_next_command() {
        let server = MockServer::start(|seen| match seen.words.as_str() {
            "GET k" => Act::bulk(b"v"),
            _ => Act::Drop,
        })
        .await;
        let mut session = session(&server, true);
        let said = ask(&mut session, "INCR k").await;
        assert!(
            said.contains("broke the connection (closed by the server): whether the command took"),
            "{said}"
        );
        assert!(!session.is_connected());
        assert!(ask(&mut session, "GET k").await.starts_with("Bulk"));
        assert_eq!(ask(&mut session, "shutdown nosave").await, "gone", "that is its answer");
    }

    #[tokio::test]
    async fn what_was_typed_to_log_in_holds_for_later_connections() {
        let server = MockServer::start(|seen| match seen.words.as_str() {
            "AUTH right" | "HELLO 3 AUTH default right" => Act::ok(),
            "DROP" => Act::Drop,
            words if words.starts_with("AUTH") => Act::error("WRONGPASS invalid username-password pair"),
            _ => Act::bulk(b"v"),
        })
        .await;
        let mut session = session(&server, true);
        let said = ask(&mut session, "AUTH wrong").await;
        assert!(said.contains("WRONGPASS"), "{said}");
        assert_eq!(ask(&mut session, "AUTH right").await, r#"Simple("OK")"#);
        ask(&mut session, "DROP").await;
        ask(&mut session, "GET k").await;
        assert_eq!(
            server.count("AUTH right"),
            3,
            "for its connection, as typed, and for the second connection"
        );
        ask(&mut session, "HELLO 3 AUTH default right").await;
        ask(&mut session, "DROP").await;
        ask(&mut session, "GET k").await;
        assert_eq!(server.count("HELLO 3 AUTH default right"), 2);
    }

    #[test]
    fn logins_are_recognised_in_all_their_forms() {
        let of = |line: &str| {
            let words = words(line);
            let greeting = Greeting::of(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
            (greeting.password, greeting.resp3)
        };
        let secret = || Some("secret".to_owned());
        assert_eq!(of("auth secret"), (secret(), None));
        assert_eq!(of("AUTH default secret"), (secret(), None));
        assert_eq!(of("AUTH alice secret"), (None, None), "another user's");
        assert_eq!(of("HELLO 3"), (None, Some(true)));
        assert_eq!(of("hello 2 setname x auth default secret"), (secret(), Some(false)));
        assert_eq!(of("HELLO 3 AUTH alice secret"), (None, Some(true)));
        assert_eq!(of("GET auth"), (None, None));
    }
}
