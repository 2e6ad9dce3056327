//! Contents are compared with stored ones of older programs, whose fingerprints differ.

use super::*;
use crate::domain::{Content, ContentField, ContentTexts, Event, Fingerprint};
use crate::vault::PlaintextContent;

impl ActorsFixture {
    /// A content of the account with this name, sealed.
    pub(super) fn sealed(&self, account: AccountNumber, name: Option<&str>) -> Arc<Content> {
        let mut texts = ContentTexts::from(
            [
                ContentField::PublicKey,
                ContentField::PrivateKey,
                ContentField::MsgPublicKey,
                ContentField::MsgPrivateKey,
            ]
            .map(|field| (field, "")),
        );
        *texts.slot(ContentField::Name) = name;
        let content = PlaintextContent { account_type: AccountType::Business, texts };
        self.data.vault.seal_content(account, &content).unwrap()
    }

    /// Imports a content that is changed in this way.
    async fn import(&self, account: AccountNumber, name: Option<&str>, change: impl FnOnce(&mut Content)) {
        let mut content = self.sealed(account, name);
        change(Arc::make_mut(&mut content));
        let imported = self.accounts.execute(account, import(content), Origin::SERVICE).await;
        assert_eq!(imported.unwrap(), Ok(CommandSuccess::Recorded));
    }

    /// Executes the command; returns its outcome and the events that it recorded.
    async fn execute(&self, account: AccountNumber, command: Command) -> (Result<CommandResult, Error>, Vec<Event>) {
        let head = self.data.journal.head();
        let outcome = self.accounts.execute(account, command, Origin::SERVICE).await;
        let recorded = self.data.journal.history_after(StreamId::Account(account), head, 10).unwrap();
        (outcome, recorded.iter().map(|record| record.account_event().unwrap().1.clone()).collect())
    }
}

pub(super) fn import(content: Arc<Content>) -> Command {
    Command::Import { content, reason: Reason::none(), labels: None }
}

fn replace(content: Arc<Content>) -> Command {
    Command::BringOnline { content: Some(content), replace: true, reason: Reason::none(), labels: None }
}

fn by_older_program(content: &mut Content) {
    content.fingerprint = Fingerprint([7; 32]);
}

#[tokio::test]
async fn an_empty_text_and_a_missing_one_are_the_same_content() {
    let fixture = ActorsFixture::new(|_| {});
    for (account, stored) in [(account(1), None), (account(2), Some(""))] {
        fixture.import(account, stored, by_older_program).await;
        for sent in [None, Some("")] {
            let content = fixture.sealed(account, sent);
            let (outcome, events) = fixture.execute(account, import(content.clone())).await;
            assert_eq!((outcome.unwrap(), events), (Ok(CommandSuccess::Unchanged), vec![]), "{stored:?} {sent:?}");
            let online = replace(content);
            let (outcome, events) = fixture.execute(account, online).await;
            assert!(outcome.unwrap().is_ok());
            assert!(
                events.iter().all(|event| matches!(event, Event::OnlineRequested { .. })),
                "{stored:?} {sent:?}: {events:?}"
            );
        }
        let other = fixture.sealed(account, Some("lee"));
        let (outcome, _) = fixture.execute(account, import(other.clone())).await;
        assert_eq!(outcome.unwrap(), Err(CommandRejection::OtherContent));
        let online = replace(other.clone());
        let (outcome, events) = fixture.execute(account, online).await;
        assert_eq!(
            (outcome.unwrap(), events),
            (Ok(CommandSuccess::Recorded), vec![Event::ContentReplaced { content: other, reason: Reason::none() }])
        );
    }
}

/// Nothing can be compared with it; it can only be replaced.
#[tokio::test]
async fn content_that_does_not_open_fails_one_command() {
    let fixture = ActorsFixture::new(|_| {});
    let altered = |content: &mut Content| {
        by_older_program(content);
        *content.secrets.0.last_mut().unwrap() ^= 1;
    };
    fixture.import(account(1), None, altered).await;
    let same = fixture.sealed(account(1), None);
    let commands = [1, 2].map(|number| (account(number), import(fixture.sealed(account(number), None))));
    let outcomes = fixture.accounts.execute_all(commands.into(), Origin::SERVICE).await.unwrap();
    assert!(matches!(outcomes[0], Err(Error::Vault(_))), "{outcomes:?}");
    assert_eq!(*outcomes[1].as_ref().unwrap(), Ok(CommandSuccess::Recorded));
    let (outcome, events) = fixture.execute(account(1), replace(same.clone())).await;
    assert_eq!(outcome.unwrap(), Ok(CommandSuccess::Recorded));
    assert_eq!(
        events,
        [
            Event::ContentReplaced { content: same, reason: Reason::none() },
            Event::OnlineRequested { reason: Reason::none() }
        ]
    );
}
