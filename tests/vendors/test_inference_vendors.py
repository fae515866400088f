"""Each vendor of language models passes the conformance kit, and is reached over a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from moorage import InvalidData, UnsupportedByVendor
from moorage.contracts.inference import EmbeddingRequest, GenerationRequest
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing import inference_conformance, name_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.vendors.inference._accounts import read_arguments
from tests.vendors.inference_subjects import SUBJECTS, anthropic, mistral, openai

if TYPE_CHECKING:
    from moorage.testing.kits.inference_conformance import (
        AsyncCheck,
        Check,
        Factory,
        InferenceSubject,
    )


def hub_of(subject: InferenceSubject, **options: Any) -> Hub:
    """Return a hub with an account at the subject's sandbox."""
    vendor: Any = subject.vendor
    account = Account("models", attrs.evolve(vendor, **options))
    return Hub([account], http=SandboxHttpClient(subject.sandbox))


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", inference_conformance.CHECKS, ids=name_of)
def test_vendor_of_models_conforms(check: Check, subject: Factory) -> None:
    """Each vendor of language models passes the kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", inference_conformance.ASYNC_CHECKS, ids=name_of)
def test_vendor_of_models_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each vendor of language models passes the kit with an asynchronous hub."""
    asyncio.run(check(subject))


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
def test_model_answers_once_per_key_over_a_real_connection(subject: Factory) -> None:
    """A model answers over a real connection, once for each idempotency key."""
    new_subject = subject()
    vendor: Any = new_subject.vendor
    with new_subject.sandbox.serving() as server:
        base_url = f"{server.url}{urlsplit(vendor.base_url).path}"
        account = Account("models", attrs.evolve(vendor, base_url=base_url))
        with Hub([account]) as hub:
            request = GenerationRequest("Hello")
            results = [hub.inference().generate(request, idempotency_key="k-1") for _ in range(2)]

    assert ["You wrote: Hello"] * 2 == [result.text for result in results]
    assert [False, True] == [result.replayed for result in results]
    assert 1 == len(new_subject.sandbox.requests)


def test_extra_options_change_the_body_for_their_own_vendor_only() -> None:
    """The `extra` of a request changes the body for its own vendor alone."""
    for subject, other in ((anthropic(), "openai"), (openai(), "mistral"), (mistral(), "openai")):
        name = subject.kind.name
        extra: dict[str, Any] = {
            name: {"stop_sequences" if name == "anthropic" else "stop": ["END"]},
            other: {"x": 1},
        }
        with hub_of(subject) as hub:
            hub.inference().generate(GenerationRequest("Hello", extra=extra))

        body = subject.sandbox.requests[-1].json()
        assert ["END"] == body["stop_sequences" if name == "anthropic" else "stop"]
        assert "x" not in body


def test_headers_of_openai_name_organisation_and_project() -> None:
    """OpenAI gets the ids of the organisation and the project, if the account has them."""
    subject = openai()
    with hub_of(subject, organization="org-1", project="proj-2") as hub:
        hub.inference().generate(GenerationRequest("Hello"))
    with hub_of(subject) as hub:
        hub.inference().generate(GenerationRequest("Hello"))

    configured_headers, usual_headers = [request.headers for request in subject.sandbox.requests]
    assert ("org-1", "proj-2") == (
        configured_headers["openai-organization"],
        configured_headers["openai-project"],
    )
    assert "openai-organization" not in usual_headers
    assert "openai-project" not in usual_headers


def test_request_for_a_stream_has_the_vendors_options() -> None:
    """A request for an answer in pieces asks OpenAI for the usage, which other vendors send."""
    for subject, options in (
        (anthropic(), {"stream": True}),
        (mistral(), {"stream": True}),
        (openai(), {"stream": True, "stream_options": {"include_usage": True}}),
    ):
        with hub_of(subject) as hub, hub.inference().stream(GenerationRequest("Hello")) as answer:
            assert "You wrote: Hello" == answer.finish().text

        body = subject.sandbox.requests[-1].json()
        assert options == {name: body[name] for name in body if name.startswith("stream")}


def test_embeddings_name_model_and_dimensions() -> None:
    """A request for vectors has the account's model or the caller's, and the vectors' length."""
    expected = {"openai": "dimensions", "mistral": "output_dimension"}
    for subject in (openai(), mistral()):
        with hub_of(subject) as hub:
            embeddings = hub.inference().embed(EmbeddingRequest("a", dimensions=3))
            hub.inference().embed(EmbeddingRequest(["a", "b"], model="model-small"))

        bodies = [request.json() for request in subject.sandbox.requests]
        assert 3 == len(embeddings.vectors[0])
        assert ["a"] == bodies[0]["input"]
        assert "float" == bodies[0]["encoding_format"]
        assert ("model-embed", 3) == (bodies[0]["model"], bodies[0][expected[subject.kind.name]])
        assert "model-small" == bodies[1]["model"]
        assert expected[subject.kind.name] not in bodies[1]


def test_more_texts_than_openai_accepts_are_refused_before_sending() -> None:
    """OpenAI takes 2,048 texts in one request; more are refused."""
    subject = openai()
    with hub_of(subject) as hub:
        hub.inference().embed(EmbeddingRequest(["a"] * 2_048))
        with pytest.raises(
            InvalidData, match="2049 texts, but the vendor accepts at most 2048"
        ) as excinfo:
            hub.inference().embed(EmbeddingRequest(["a"] * 2_049))

    assert "texts" == excinfo.value.field
    assert 1 == len(subject.sandbox.requests)


def test_anthropic_has_no_temperature_and_no_embeddings() -> None:
    """Features that Anthropic's models lack are refused before anything is sent."""
    subject = anthropic()
    with hub_of(subject) as hub:
        with pytest.raises(UnsupportedByVendor):
            hub.inference().generate(GenerationRequest("Hello", temperature=0.2))
        with pytest.raises(UnsupportedByVendor):
            hub.inference().embed(EmbeddingRequest("a"))

    assert [] == subject.sandbox.requests


@pytest.mark.parametrize(
    "subject, model", [(mistral, "mistral-embed"), (openai, "text-embedding-3-small")], ids=name_of
)
def test_embeddings_have_a_default_model(subject: Factory, model: str) -> None:
    """An account without another model for embeddings uses the vendor's usual one."""
    vendor: Any = subject().vendor
    (default,) = [
        field.default for field in attrs.fields(type(vendor)) if field.name == "embedding_model"
    ]

    assert model == default


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ("", {}),
        ("{}", {}),
        ('{"city": "Kiel"}', {"city": "Kiel"}),
        ({"city": "Kiel"}, {"city": "Kiel"}),
        ('{"city": "Ki', None),
        ("[]", None),
        (None, None),
    ],
)
def test_arguments_of_a_tool_call_are_an_object_or_its_text(
    arguments: object, expected: object
) -> None:
    """The arguments of a tool call are an object; an empty text means that there are none."""
    assert expected == read_arguments(arguments)
