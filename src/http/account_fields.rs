//! One account of batchInsert or batchOnline, with the fields as sent.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use utoipa::openapi::schema::Object;

use super::json_objects::{JsonObjectKey, object_schema, read_once};
use super::json_values::{AccountNumberText, EnumCode, JsonText, LenientBool, ValueSchema, reject};
use super::label_entries::LabelEntries;
use crate::api::ImportKind;
use crate::domain::{AccountType, ContentField, ContentTexts};

/// The fields of an account: `None` if the key is missing or null.
#[derive(Default)]
pub(super) struct AccountFields<'a> {
    pub(super) account: Option<AccountNumberText>,
    pub(super) account_type: Option<EnumCode<AccountType>>,
    pub(super) replace: Option<LenientBool>,
    pub(super) texts: ContentTexts<JsonText<'a>>,
    pub(super) labels: Option<LabelEntries>,
}

// Frozen: the API document defines these names, and callers send them.
pub(super) const ACCOUNT: &str = "whatsApp";
const ACCOUNT_TYPE: &str = "whatsappType";
pub(super) const REPLACE: &str = "override";
pub(super) const LABELS: &str = "labels";

impl ImportKind {
    /// The required texts, in the order in which they are checked.
    pub(super) fn required_texts(self) -> impl Iterator<Item = ContentField> {
        let account_id = (self == ImportKind::Insert).then_some(ContentField::AccountId);
        account_id.into_iter().chain(ContentField::ALL.into_iter().filter(|field| field.is_required()))
    }
}

impl<'a> AccountFields<'a> {
    /// The OpenAPI schema.
    pub(super) fn schema(import: ImportKind) -> Object {
        let replace =
            (REPLACE, "Whether the sent content replaces a known account's stored content.", LenientBool::schema());
        let fields = [
            (ACCOUNT, "The account number: digits only, calling code first.", AccountNumberText::schema()),
            (ACCOUNT_TYPE, "1 personal (the default), 2 business.", EnumCode::<AccountType>::schema()),
        ];
        let fields = fields.into_iter().chain((import == ImportKind::Online).then_some(replace));
        let texts = ContentField::ALL.map(|field| (field.name(), field.description(), JsonText::schema()));
        let labels = (
            LABELS,
            "Replaces all labels of the account. Left out or null: they stay; `{}`: none are left.",
            LabelEntries::schema(),
        );
        let mut required = vec![ACCOUNT, REPLACE];
        required.extend(import.required_texts().map(ContentField::name));
        object_schema(fields.chain(texts).chain([labels]), &required)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for AccountFields<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct AccountFieldsVisitor<'a>(PhantomData<&'a str>);

        impl<'de: 'a, 'a> Visitor<'de> for AccountFieldsVisitor<'a> {
            type Value = AccountFields<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut account, mut account_type, mut replace, mut labels) = (None, None, None, None);
                let mut texts = ContentTexts::<Option<JsonText<'a>>>::default();
                while let Some(key) = map.next_key::<JsonObjectKey<'de>>()? {
                    match &*key.0 {
                        ACCOUNT => read_once(&mut map, &mut account)?,
                        ACCOUNT_TYPE => read_once(&mut map, &mut account_type)?,
                        REPLACE => read_once(&mut map, &mut replace)?,
                        LABELS => read_once(&mut map, &mut labels)?,
                        name => match ContentField::from_name(name) {
                            Some(field) => read_once(&mut map, texts.slot(field))?,
                            None => drop(map.next_value::<IgnoredAny>()?),
                        },
                    }
                }
                Ok(AccountFields {
                    account: account.flatten(),
                    account_type: account_type.flatten(),
                    replace: replace.flatten(),
                    texts: ContentTexts::from_fn(|field| texts.slot(field).take().flatten()),
                    labels: labels.flatten(),
                })
            }

            reject!("an object", not boolean number string null list);
        }

        json.deserialize_any(AccountFieldsVisitor(PhantomData))
    }
}
