//! Parts of forms: buttons and fields, disabled if the requester may not submit them.

use maud::{Markup, html};

use super::page_request::ConsoleRequest;
use crate::domain::Permission;
use crate::limits::OPERATOR_REASON_BYTES;

/// A button that submits an action. It is disabled, and says why, if the requester may not do it.
pub(super) fn action_button(
    request: &ConsoleRequest,
    need: Permission,
    name: &str,
    value: Option<(&str, &str)>,
) -> Markup {
    let why = request.permission_error(need);
    html! {
        button name=[value.map(|(field, _)| field)] value=[value.map(|(_, value)| value)] disabled[why.is_some()]
            title=[why.as_deref()] { (name) }
    }
}

/// Why some buttons of a page are disabled; empty if the requester has the permission.
pub(super) fn permission_note(request: &ConsoleRequest, need: Permission) -> Markup {
    html! { @if let Some(why) = request.permission_error(need) { p.note.why { (why) } } }
}

/// The field for the reason of an operator's action.
pub(super) fn reason_field(request: &ConsoleRequest, id: &str, placeholder: &str, is_required: bool) -> Markup {
    let is_disabled = request.permission_error(Permission::Operate).is_some();
    html! {
        label for=(id) { "Reason" }
        input id=(id) name="reason" maxlength=(OPERATOR_REASON_BYTES) required[is_required] disabled[is_disabled]
            autocomplete="off" placeholder=(placeholder);
    }
}

/// A drop-down of values with their labels. Its first choice, `any`, has no value.
pub(super) fn select<V: AsRef<str>, L: AsRef<str>>(
    id: &str,
    name: &str,
    choices: impl IntoIterator<Item = (V, L)>,
    chosen: Option<&str>,
) -> Markup {
    html! {
        select id=(id) name=(name) {
            option value="" { "any" }
            @for (value, label) in choices {
                @let value = value.as_ref();
                option value=(value) selected[chosen == Some(value)] { (label.as_ref()) }
            }
        }
    }
}
