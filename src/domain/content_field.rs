//! The texts of an account's imported content: one line per field.
//!
//! Parsing, validation, sealing, canonical bytes, views and the OpenAPI schemas follow from the table.

use std::fmt;

/// Declares the fields. The doc comment of a field is its description in OpenAPI.
macro_rules! content_fields {
    ($($(#[doc = $words:literal])+ $field:ident: $name:literal, $presence:ident, $storage:ident;)+) => {
        /// A text of an account's imported content. Texts are encoded and displayed in this order.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum ContentField {
            $($(#[doc = $words])+ $field,)+
        }

        impl ContentField {
            /// All fields, in order.
            pub const ALL: [ContentField; [$(ContentField::$field),+].len()] = [$(ContentField::$field),+];

            const fn definition(self) -> FieldDefinition {
                match self {
                    $(ContentField::$field => FieldDefinition {
                        name: $name,
                        description: concat!($($words),+),
                        presence: Presence::$presence,
                        storage: Storage::$storage,
                    },)+
                }
            }
        }
    };
}

// Frozen: the order and the names. Fingerprints and sealed bytes depend on the order, callers on the names. New fields
// come last, and are optional.
content_fields! {
    /// Name.
    Name: "name", Optional, Plain;
    /// Avatar, such as `wwww.baiux.com/1.img`.
    Avatar: "avatar", Optional, Plain;
    /// Account public key; may be empty.
    PublicKey: "publicKey", Required, Plain;
    /// Account private key; may be empty. It is sealed on arrival.
    PrivateKey: "privateKey", Required, Sealed;
    /// Message public key; may be empty.
    MsgPublicKey: "msgPublicKey", Required, Plain;
    /// Message private key; may be empty. It is sealed on arrival.
    MsgPrivateKey: "msgPrivateKey", Required, Sealed;
    /// Account id; may be empty.
    AccountId: "accountId", Optional, Plain;
    /// Next key id.
    NextKeyId: "nextKeyId", Optional, Plain;
    /// Registration id.
    RegistrationId: "registrationId", Optional, Plain;
    /// Device parameters, an opaque text. They are sealed on arrival.
    DeviceParams: "deviceParams", Optional, Sealed;
}

struct FieldDefinition {
    /// The name in requests and views.
    name: &'static str,
    description: &'static str,
    presence: Presence,
    storage: Storage,
}

/// Whether callers must send the text.
#[derive(PartialEq, Eq)]
enum Presence {
    /// The text may be empty, but not missing.
    Required,
    Optional,
}

/// How the text is stored.
#[derive(PartialEq, Eq)]
enum Storage {
    Plain,
    /// A secret: only the vault can open it.
    Sealed,
}

impl ContentField {
    /// How many fields there were when the first contents were stored.
    pub const ORIGINAL_COUNT: u8 = 10;

    /// Its place in the table, from 0. Permanent.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The field that requests and views call `name`.
    pub fn from_name(name: &str) -> Option<ContentField> {
        ContentField::ALL.into_iter().find(|field| field.name() == name)
    }

    /// Its name in requests and views.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// Its description for callers.
    pub fn description(self) -> &'static str {
        self.definition().description.trim_ascii()
    }

    /// Whether every content must have the text, which may be empty.
    pub fn is_required(self) -> bool {
        self.definition().presence == Presence::Required
    }

    /// Whether contents were stored before the field existed. Canonical bytes and views leave such a field out while its
    /// text is missing, so that the fingerprints and the exports of those contents stay the same.
    pub fn is_newer(self) -> bool {
        self.index() >= ContentField::ORIGINAL_COUNT
    }

    /// Whether the text is a secret, which is stored only sealed.
    pub fn is_sealed(self) -> bool {
        self.definition().storage == Storage::Sealed
    }
}

/// The texts of a content, by field. A text may be missing.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentTexts<T>([Option<T>; ContentField::ALL.len()]);

impl<T> ContentTexts<T> {
    /// Collects the text that `text` returns for each field.
    pub fn from_fn(text: impl FnMut(ContentField) -> Option<T>) -> ContentTexts<T> {
        ContentTexts(ContentField::ALL.map(text))
    }

    /// The text of `field`, if there is one.
    pub fn get(&self, field: ContentField) -> Option<&T> {
        self.0[usize::from(field.index())].as_ref()
    }

    /// The slot of the text of `field`, for changes.
    pub fn slot(&mut self, field: ContentField) -> &mut Option<T> {
        &mut self.0[usize::from(field.index())]
    }

    /// The texts that are present, in the order of their fields.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

/// Shows only the texts that are present.
impl<T: fmt::Debug> fmt::Debug for ContentTexts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = ContentField::ALL.into_iter().filter_map(|field| Some((field.name(), self.get(field)?)));
        f.debug_map().entries(present).finish()
    }
}

impl<T> Default for ContentTexts<T> {
    fn default() -> ContentTexts<T> {
        ContentTexts::from_fn(|_| None)
    }
}

/// The listed texts; the others are missing.
impl<T, U: Into<T>, const N: usize> From<[(ContentField, U); N]> for ContentTexts<T> {
    fn from(texts: [(ContentField, U); N]) -> ContentTexts<T> {
        let mut all = ContentTexts::default();
        texts.into_iter().for_each(|(field, text)| *all.slot(field) = Some(text.into()));
        all
    }
}
