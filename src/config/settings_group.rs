//! The macro with which `settings` declares a group of settings.

/// Declares the struct of a group, its defaults, and the list of its settings. `at` is the group's path in `Settings`.
///
/// An entry is `field: Type = default => "name": Kind(bounds);`. If the setting is only a part of the field, `in` names
/// that part. A field that is a group of its own has no setting here.
macro_rules! group {
    ($(#[$doc:meta])* $group:ident at $path:tt { $(
        $(#[$field_doc:meta])*
        $field:ident: $type:ty = $default:expr $(=> $($name:literal: $kind:ident $bounds:tt $(in ($($part:tt)+))?),+)?;
    )+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $group {
            $($(#[$field_doc])* pub $field: $type,)+
        }

        impl Default for $group {
            fn default() -> $group {
                $group { $($field: $default,)+ }
            }
        }

        impl $group {
            const LIST: &[SettingDefinition] = &[$($($(
                SettingDefinition { name: $name, kind: group!(@kind $kind $bounds $path $field $($($part)+)?) },
            )+)?)+];
        }
    };
    (@kind $kind:ident ($($bound:expr),*) ($($path:ident).+) $field:ident $($part:tt)*) => {
        SettingKind::$kind(|it| &mut it.$($path).+.$field $($part)* $(, $bound)*)
    };
}

pub(super) use group;
