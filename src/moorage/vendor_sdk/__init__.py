"""The stable API of moorage for writing vendors.

A vendor imports this module, and the values of its contract from the contract's module, such as
`moorage.contracts.sms`. The vendors in moorage do the same. Each name is imported when it is first
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref as Ref
    from moorage.contracts.vendor import MakeRef as MakeRef
    from moorage.contracts.vendor import RepeatedKey as RepeatedKey
    from moorage.contracts.vendor import UnknownOutcome as UnknownOutcome
    from moorage.contracts.vendor import Vendor as Vendor
    from moorage.contracts.vendor import VendorKeys as VendorKeys
    from moorage.contracts.vendor import choices as choices
    from moorage.contracts.vendor import extra_for as extra_for
    from moorage.contracts.vendor import key_for_vendor as key_for_vendor
    from moorage.contracts.vendor import merged as merged
    from moorage.contracts.vendor import mode_of_key as mode_of_key
    from moorage.contracts.vendor import mode_of_url as mode_of_url
    from moorage.contracts.vendor import no_options as no_options
    from moorage.contracts.vendor import part_key as part_key
    from moorage.contracts.wire import StreamedResponse as StreamedResponse
    from moorage.contracts.wire import Wire as Wire
    from moorage.domain.auth.methods import Credentials as Credentials
    from moorage.domain.auth.methods import OAuthCredentials as OAuthCredentials
    from moorage.domain.http.dates import write_http_date as write_http_date
    from moorage.domain.http.multipart import FormFile as FormFile
    from moorage.domain.http.query import encode_pairs as encode_pairs
    from moorage.domain.http.redaction import Redaction as Redaction
    from moorage.domain.http.requests import Headers as Headers
    from moorage.domain.http.requests import HttpMethod as HttpMethod
    from moorage.domain.http.requests import Request as Request
    from moorage.domain.http.requests import Response as Response
    from moorage.domain.http.requests import join_url as join_url
    from moorage.domain.http.urls import validate_base_url as validate_base_url
    from moorage.domain.oauth.client import ClientAuthentication as ClientAuthentication
    from moorage.domain.oauth.client import OAuthClient as OAuthClient
    from moorage.domain.oauth.grants import JwtBearer as JwtBearer
    from moorage.domain.oauth.grants import RefreshToken as RefreshToken
    from moorage.domain.oauth.server import AuthorizationServer as AuthorizationServer
    from moorage.domain.resilience.circuit import CircuitBreakerConfig as CircuitBreakerConfig
    from moorage.domain.resilience.classify import is_success as is_success
    from moorage.domain.resilience.classify import (
        vendor_code_and_message as vendor_code_and_message,
    )
    from moorage.domain.resilience.retry import RetryPolicy as RetryPolicy
    from moorage.domain.secrets.secret import Secret as Secret
    from moorage.domain.secrets.secret import as_secret as as_secret
    from moorage.domain.service.region import Region as Region
    from moorage.domain.service.safety import Mode as Mode
    from moorage.domain.service.settings import Endpoint as Endpoint
    from moorage.domain.service.settings import Service as Service
    from moorage.domain.signing.azure import AzureSharedKey as AzureSharedKey
    from moorage.domain.signing.context import SigningContext as SigningContext
    from moorage.domain.signing.jwt import JwtSigning as JwtSigning
    from moorage.domain.signing.keys import SignatureAlgorithm as SignatureAlgorithm
    from moorage.domain.signing.keys import check_key as check_key
    from moorage.domain.signing.keys import sign_bytes as sign_bytes
    from moorage.domain.signing.sigv4 import AwsSigV4 as AwsSigV4
    from moorage.domain.values.file_entry import FileEntry as FileEntry
    from moorage.domain.values.frozen_values import evolve as evolve
    from moorage.domain.values.frozen_values import field as field
    from moorage.domain.values.frozen_values import frozen as frozen
    from moorage.domain.values.frozen_values import optional as optional
    from moorage.domain.values.json_text import encode_json as encode_json
    from moorage.domain.values.json_text import is_list as is_list
    from moorage.domain.values.json_text import is_object as is_object
    from moorage.domain.values.money import EXPONENTS as EXPONENTS
    from moorage.domain.values.money import Money as Money
    from moorage.domain.values.result import Result as Result
    from moorage.domain.webhooks.events import WebhookEvent as WebhookEvent
    from moorage.domain.webhooks.form_parts import FormPart as FormPart
    from moorage.domain.webhooks.form_parts import form_parts as form_parts
    from moorage.errors import AlreadyExists as AlreadyExists
    from moorage.errors import AuthenticationFailed as AuthenticationFailed
    from moorage.errors import ChangedMeanwhile as ChangedMeanwhile
    from moorage.errors import ChangesExpired as ChangesExpired
    from moorage.errors import ConfigurationError as ConfigurationError
    from moorage.errors import ConnectionFailed as ConnectionFailed
    from moorage.errors import ConnectorError as ConnectorError
    from moorage.errors import ConsentRequired as ConsentRequired
    from moorage.errors import DeviceGone as DeviceGone
    from moorage.errors import FileNotFound as FileNotFound
    from moorage.errors import IdempotencyConflict as IdempotencyConflict
    from moorage.errors import IdempotencyInProgress as IdempotencyInProgress
    from moorage.errors import InvalidData as InvalidData
    from moorage.errors import InvalidRequest as InvalidRequest
    from moorage.errors import OutcomeUnknown as OutcomeUnknown
    from moorage.errors import PaymentDeclined as PaymentDeclined
    from moorage.errors import RateLimitExceeded as RateLimitExceeded
    from moorage.errors import UnsupportedByVendor as UnsupportedByVendor
    from moorage.errors import VendorFailed as VendorFailed
    from moorage.errors import VendorRejected as VendorRejected
    from moorage.vendor_sdk.answers import Answer as Answer
    from moorage.vendor_sdk.answers import as_answer as as_answer
    from moorage.vendor_sdk.answers import as_decimal as as_decimal
    from moorage.vendor_sdk.answers import as_minor as as_minor
    from moorage.vendor_sdk.answers import as_money as as_money
    from moorage.vendor_sdk.answers import as_time as as_time
    from moorage.vendor_sdk.answers import check_done as check_done
    from moorage.vendor_sdk.answers import error_answer as error_answer
    from moorage.vendor_sdk.answers import malformed as malformed
    from moorage.vendor_sdk.answers import read_answer as read_answer
    from moorage.vendor_sdk.answers import read_answers as read_answers
    from moorage.vendor_sdk.answers import required as required
    from moorage.vendor_sdk.answers import required_objects as required_objects
    from moorage.vendor_sdk.api_vendor import ApiVendor as ApiVendor
    from moorage.vendor_sdk.api_vendor import HttpVendor as HttpVendor
    from moorage.vendor_sdk.api_vendor import api_key as api_key
    from moorage.vendor_sdk.api_vendor import basic as basic
    from moorage.vendor_sdk.api_vendor import bearer as bearer
    from moorage.vendor_sdk.api_vendor import body_key as body_key
    from moorage.vendor_sdk.api_vendor import key_modes as key_modes
    from moorage.vendor_sdk.api_vendor import path_key as path_key
    from moorage.vendor_sdk.api_vendor import query_key as query_key
    from moorage.vendor_sdk.api_vendor import url_modes as url_modes
    from moorage.vendor_sdk.aws import aws_credentials as aws_credentials
    from moorage.vendor_sdk.aws import aws_refusal as aws_refusal
    from moorage.vendor_sdk.budgets import token_budget as token_budget
    from moorage.vendor_sdk.consent_tokens import ConsentTokens as ConsentTokens
    from moorage.vendor_sdk.google import GoogleAccount as GoogleAccount
    from moorage.vendor_sdk.google import GoogleVendor as GoogleVendor
    from moorage.vendor_sdk.google import google_account as google_account
    from moorage.vendor_sdk.google import is_google_account as is_google_account
    from moorage.vendor_sdk.oauth_vendor import OAuthVendor as OAuthVendor
    from moorage.vendor_sdk.operations import VendorOperation as VendorOperation
    from moorage.vendor_sdk.operations import delete as delete
    from moorage.vendor_sdk.operations import filled_path as filled_path
    from moorage.vendor_sdk.operations import form_pairs as form_pairs
    from moorage.vendor_sdk.operations import get as get
    from moorage.vendor_sdk.operations import post as post
    from moorage.vendor_sdk.operations import put as put
    from moorage.vendor_sdk.options import choice as choice
    from moorage.vendor_sdk.options import matches as matches
    from moorage.vendor_sdk.options import one_of as one_of
    from moorage.vendor_sdk.options import whole_number as whole_number
    from moorage.vendor_sdk.readings import Reading as Reading
    from moorage.vendor_sdk.readings import base64 as base64
    from moorage.vendor_sdk.readings import each as each
    from moorage.vendor_sdk.readings import flag as flag
    from moorage.vendor_sdk.readings import integer as integer
    from moorage.vendor_sdk.readings import needed as needed
    from moorage.vendor_sdk.readings import nested as nested
    from moorage.vendor_sdk.readings import ref_at as ref_at
    from moorage.vendor_sdk.readings import text as text
    from moorage.vendor_sdk.readings import texts as texts
    from moorage.vendor_sdk.readings import time as time
    from moorage.vendor_sdk.readings import when as when
    from moorage.vendor_sdk.readings import word as word
    from moorage.vendor_sdk.refusals import Refusals as Refusals
    from moorage.vendor_sdk.refusals import error_statuses as error_statuses
    from moorage.vendor_sdk.refusals import masked_words as masked_words
    from moorage.vendor_sdk.refusals import refusal as refusal
    from moorage.vendor_sdk.word_tables import members_of as members_of
    from moorage.vendor_sdk.word_tables import same as same
    from moorage.vendor_sdk.word_tables import word_set as word_set
    from moorage.vendor_sdk.word_tables import words as words
    from moorage.vendor_sdk.xml_text import NotXmlError as NotXmlError
    from moorage.vendor_sdk.xml_text import XmlElement as XmlElement
    from moorage.vendor_sdk.xml_text import read_xml as read_xml
    from moorage.vendor_sdk.xml_text import xml_element as xml_element

_HOME = {
    # the vendor: base classes, and the vendor's properties
    "Vendor": "contracts.vendor",
    "VendorKeys": "contracts.vendor",
    "RepeatedKey": "contracts.vendor",
    "UnknownOutcome": "contracts.vendor",
    "MakeRef": "contracts.vendor",
    "choices": "contracts.vendor",
    "extra_for": "contracts.vendor",
    "key_for_vendor": "contracts.vendor",
    "merged": "contracts.vendor",
    "mode_of_url": "contracts.vendor",
    "mode_of_key": "contracts.vendor",
    "no_options": "contracts.vendor",
    "part_key": "contracts.vendor",
    "Mode": "domain.service.safety",
    # the account: options, services and credentials
    "choice": "vendor_sdk.options",
    "matches": "vendor_sdk.options",
    "one_of": "vendor_sdk.options",
    "whole_number": "vendor_sdk.options",
    "Secret": "domain.secrets.secret",
    "as_secret": "domain.secrets.secret",
    "Service": "domain.service.settings",
    "Endpoint": "domain.service.settings",
    "CircuitBreakerConfig": "domain.resilience.circuit",
    "RetryPolicy": "domain.resilience.retry",
    "Region": "domain.service.region",
    "validate_base_url": "domain.http.urls",
    "Redaction": "domain.http.redaction",
    "Credentials": "domain.auth.methods",
    "OAuthCredentials": "domain.auth.methods",
    "OAuthClient": "domain.oauth.client",
    "AuthorizationServer": "domain.oauth.server",
    "ClientAuthentication": "domain.oauth.client",
    "JwtBearer": "domain.oauth.grants",
    "RefreshToken": "domain.oauth.grants",
    "AwsSigV4": "domain.signing.sigv4",
    "AzureSharedKey": "domain.signing.azure",
    "JwtSigning": "domain.signing.jwt",
    "SigningContext": "domain.signing.context",
    "SignatureAlgorithm": "domain.signing.keys",
    "check_key": "domain.signing.keys",
    "sign_bytes": "domain.signing.keys",
    "aws_credentials": "vendor_sdk.aws",
    "aws_refusal": "vendor_sdk.aws",
    "GoogleAccount": "vendor_sdk.google",
    "GoogleVendor": "vendor_sdk.google",
    "google_account": "vendor_sdk.google",
    "is_google_account": "vendor_sdk.google",
    "token_budget": "vendor_sdk.budgets",
    "evolve": "domain.values.frozen_values",
    "field": "domain.values.frozen_values",
    "frozen": "domain.values.frozen_values",
    "optional": "domain.values.frozen_values",
    "ApiVendor": "vendor_sdk.api_vendor",
    "OAuthVendor": "vendor_sdk.oauth_vendor",
    "ConsentTokens": "vendor_sdk.consent_tokens",
    "HttpVendor": "vendor_sdk.api_vendor",
    "bearer": "vendor_sdk.api_vendor",
    "basic": "vendor_sdk.api_vendor",
    "api_key": "vendor_sdk.api_vendor",
    "path_key": "vendor_sdk.api_vendor",
    "body_key": "vendor_sdk.api_vendor",
    "query_key": "vendor_sdk.api_vendor",
    "url_modes": "vendor_sdk.api_vendor",
    "key_modes": "vendor_sdk.api_vendor",
    # requests, and the wire that sends them
    "Wire": "contracts.wire",
    "StreamedResponse": "contracts.wire",
    "Ref": "contracts.ref",
    "Request": "domain.http.requests",
    "HttpMethod": "domain.http.requests",
    "Headers": "domain.http.requests",
    "Response": "domain.http.requests",
    "join_url": "domain.http.requests",
    "FormFile": "domain.http.multipart",
    "encode_pairs": "domain.http.query",
    "write_http_date": "domain.http.dates",
    "encode_json": "domain.values.json_text",
    "is_list": "domain.values.json_text",
    "is_object": "domain.values.json_text",
    "xml_element": "vendor_sdk.xml_text",
    "FileEntry": "domain.values.file_entry",
    "VendorOperation": "vendor_sdk.operations",
    "get": "vendor_sdk.operations",
    "post": "vendor_sdk.operations",
    "put": "vendor_sdk.operations",
    "delete": "vendor_sdk.operations",
    "filled_path": "vendor_sdk.operations",
    "form_pairs": "vendor_sdk.operations",
    # responses
    "Answer": "vendor_sdk.answers",
    "as_answer": "vendor_sdk.answers",
    "check_done": "vendor_sdk.answers",
    "as_decimal": "vendor_sdk.answers",
    "as_minor": "vendor_sdk.answers",
    "as_money": "vendor_sdk.answers",
    "as_time": "vendor_sdk.answers",
    "error_answer": "vendor_sdk.answers",
    "malformed": "vendor_sdk.answers",
    "read_answer": "vendor_sdk.answers",
    "read_answers": "vendor_sdk.answers",
    "required": "vendor_sdk.answers",
    "required_objects": "vendor_sdk.answers",
    "XmlElement": "vendor_sdk.xml_text",
    "NotXmlError": "vendor_sdk.xml_text",
    "read_xml": "vendor_sdk.xml_text",
    "WebhookEvent": "domain.webhooks.events",
    "FormPart": "domain.webhooks.form_parts",
    "form_parts": "domain.webhooks.form_parts",
    "Money": "domain.values.money",
    "EXPONENTS": "domain.values.money",
    "Result": "domain.values.result",
    "Reading": "vendor_sdk.readings",
    "ref_at": "vendor_sdk.readings",
    "text": "vendor_sdk.readings",
    "texts": "vendor_sdk.readings",
    "integer": "vendor_sdk.readings",
    "flag": "vendor_sdk.readings",
    "time": "vendor_sdk.readings",
    "base64": "vendor_sdk.readings",
    "word": "vendor_sdk.readings",
    "when": "vendor_sdk.readings",
    "needed": "vendor_sdk.readings",
    "nested": "vendor_sdk.readings",
    "each": "vendor_sdk.readings",
    "words": "vendor_sdk.word_tables",
    "same": "vendor_sdk.word_tables",
    "members_of": "vendor_sdk.word_tables",
    "word_set": "vendor_sdk.word_tables",
    # errors
    "is_success": "domain.resilience.classify",
    "vendor_code_and_message": "domain.resilience.classify",
    "AlreadyExists": "errors",
    "AuthenticationFailed": "errors",
    "ChangedMeanwhile": "errors",
    "ChangesExpired": "errors",
    "ConfigurationError": "errors",
    "ConnectionFailed": "errors",
    "ConnectorError": "errors",
    "ConsentRequired": "errors",
    "DeviceGone": "errors",
    "FileNotFound": "errors",
    "IdempotencyConflict": "errors",
    "IdempotencyInProgress": "errors",
    "InvalidData": "errors",
    "InvalidRequest": "errors",
    "OutcomeUnknown": "errors",
    "PaymentDeclined": "errors",
    "RateLimitExceeded": "errors",
    "UnsupportedByVendor": "errors",
    "VendorFailed": "errors",
    "VendorRejected": "errors",
    "Refusals": "vendor_sdk.refusals",
    "error_statuses": "vendor_sdk.refusals",
    "refusal": "vendor_sdk.refusals",
    "masked_words": "vendor_sdk.refusals",
}
__all__ = tuple(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]  # as imported above


if not TYPE_CHECKING:  # without this, a type checker would accept any name

    def __getattr__(name: str) -> object:
        module_name = _HOME.get(name)
        if module_name is None:
            raise AttributeError(f"module 'moorage.vendor_sdk' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"moorage.{module_name}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
