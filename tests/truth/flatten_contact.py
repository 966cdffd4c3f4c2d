"""Contacts: one contact, its addresses, the history of its status and its custom fields."""

from table import Kind, Table, custom_fields
from values import at, first


def contact(record):
    assignment = at(record, "assignment", "current") or {}
    financial = record.get("financialDetails") or {}
    emails = at(record, "communication", "emails") or {}
    telephones = at(record, "communication", "telephones") or {}
    yield {
        "id": record["contactId"],
        "is_primary_contact": record.get("isPrimaryContact"),
        "salutation": record.get("salutation"),
        "first_name": record.get("firstName"),
        "last_name": record.get("lastName"),
        "email": at(emails, "PRI", "email"),
        "secondary_email": at(emails, "SEC", "email"),
        "tertiary_email": at(emails, "TER", "email"),
        "telephone": telephones.get("PRI"),
        "secondary_telephone": telephones.get("SEC"),
        "mobile_telephone": telephones.get("MOB"),
        "fax": telephones.get("FAX"),
        "skype": at(record, "communication", "messagingVoips", "SKP"),
        "website": at(record, "communication", "websites", "PRI"),
        "company_id": record.get("companyId"),
        "organisation_id": at(record, "organisation", "organisationId"),
        "organisation_name": at(record, "organisation", "name"),
        "is_supplier": at(record, "relationshipToAccount", "isSupplier"),
        "is_staff": at(record, "relationshipToAccount", "isStaff"),
        "trade_status": record.get("tradeStatus"),
        "contact_status_id": at(record, "contactStatus", "current", "contactStatusId"),
        "contact_status_name": at(record, "contactStatus", "current", "contactStatusName"),
        "default_address_id": at(record, "postAddressIds", "DEF"),
        "billing_address_id": at(record, "postAddressIds", "BIL"),
        "delivery_address_id": at(record, "postAddressIds", "DEL"),
        "created_on": record.get("createdOn"),
        "updated_on": record.get("updatedOn"),
        "last_contacted_on": record.get("lastContactedOn"),
        "created_by_id": first(record, "createdByid", "createdById"),
        "staff_owner_contact_id": first(assignment, "staffOwnerContactId", "staffOwnerContactid"),
        "department_id": assignment.get("departmentId"),
        "lead_source_id": assignment.get("leadSourceId"),
        "contact_group_id": assignment.get("contactGroupId"),
        "channel_id": assignment.get("channelId"),
        "project_id": assignment.get("projectId"),
        "account_reference": assignment.get("accountReference"),
        "price_list_id": financial.get("priceListId"),
        "nominal_code": financial.get("nominalCode"),
        "tax_code_id": financial.get("taxCodeId"),
        "tax_number": financial.get("taxNumber"),
        "currency_id": financial.get("currencyId"),
        "credit_limit": financial.get("creditLimit"),
        "credit_term_days": financial.get("creditTermDays"),
        "credit_term_type_id": financial.get("creditTermTypeId"),
        "discount_percentage": financial.get("discountPercentage"),
        "is_receive_email_newsletter": at(record, "marketingDetails", "isReceiveEmailNewsletter"),
        "contact_tags": record.get("contactTags"),
        "aliases": record.get("aliases"),
    }


def postal_addresses(record):
    for address in record.get("postalAddresses") or []:
        yield {
            "contact_id": record["contactId"],
            "id": address["addressId"],
            "address_contact_id": address.get("contactId"),
            "address_line1": address.get("addressLine1"),
            "address_line2": address.get("addressLine2"),
            "address_line3": address.get("addressLine3"),
            "address_line4": address.get("addressLine4"),
            "postal_code": address.get("postalCode"),
            "country_id": address.get("countryId"),
            "country_iso_code": address.get("countryIsoCode"),
            "country_iso_code2": address.get("countryIsoCode2"),
        }


def status_history(record):
    for position, status in enumerate(at(record, "contactStatus", "history") or []):
        yield {
            "contact_id": record["contactId"],
            "position": position,
            "contact_status_id": status.get("contactStatusId"),
            "contact_status_name": status.get("contactStatusName"),
            "occured_on": status.get("occuredOn"),
            "staff_contact_id": status.get("staffContactId"),
        }


def contact_custom_fields(record):
    return custom_fields("contact_id", record["contactId"], record.get("customFields"))


KINDS = [
    Kind("contact", owner=lambda record: record["contactId"], created_on=None, tables=[
        Table(
            "contact", contact, key="id",
            whole="id company_id organisation_id contact_status_id default_address_id billing_address_id delivery_address_id"
            " created_by_id staff_owner_contact_id department_id lead_source_id contact_group_id channel_id project_id"
            " price_list_id tax_code_id currency_id credit_term_days credit_term_type_id",
            text="salutation first_name last_name email secondary_email tertiary_email telephone secondary_telephone"
            " mobile_telephone fax skype website organisation_name trade_status contact_status_name account_reference"
            " nominal_code tax_number contact_tags",
            instant="created_on updated_on last_contacted_on",
            money="credit_limit discount_percentage",
            flag="is_primary_contact is_supplier is_staff is_receive_email_newsletter",
            json="aliases",
        ),
        Table(
            "contact_postal_address", postal_addresses, key="contact_id id",
            whole="contact_id id address_contact_id country_id",
            text="address_line1 address_line2 address_line3 address_line4 postal_code country_iso_code country_iso_code2",
        ),
        Table(
            "contact_status_history", status_history, key="contact_id position",
            whole="contact_id contact_status_id staff_contact_id", small="position",
            text="contact_status_name", instant="occured_on",
        ),
        Table(
            "contact_custom_field", contact_custom_fields, key="contact_id code",
            whole="contact_id value_id", text="code value_text", json="value_json",
        ),
    ]),
]
