"""What the server is asked and what it answers, as OpenAPI describes it; the options are those of the command line."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serotone.audio import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from serotone.serving.limits import NAME, NAME_SENT
from serotone.serving.service import Wish

SPEAKER_ALONE = "speaker works only with profile; add it, or leave speaker out"

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
ProfileName = Annotated[str, Field(pattern=f"^{NAME}$", examples=["office"])]
Shares = Annotated[dict[str, float], Field(examples=[{"angry": 0.81, "happy": 0.12, "neutral": 0.07}])]


class Options(BaseModel):
    """Options that more than one request takes; one that nobody knows is refused, not passed over."""

    model_config = ConfigDict(extra="forbid")

    bundle: str | None = Field(
        None,
        max_length=200,
        description="One of the recognisers that `GET /v1/bundles` lists. By default, the first.",
    )


class ApartOptions(Options):
    """The options of `serotone predict --channels`."""

    profile: ProfileName | None = Field(None, description="Adapt the recogniser to this profile of the server.")
    timeline: bool = Field(False, description="Add segments, with start and end in seconds.")
    start: Seconds | None = Field(None, description="Begin this many seconds into the recording.")
    end: Seconds | None = Field(None, description="Stop this many seconds into the recording.")
    strict: bool = Field(False, description="Make a truncated recording an error, not a warning.")
    speaker: str | None = Field(None, max_length=200, description="The name in the profile of whoever speaks.")
    name: str | None = Field(
        None,
        max_length=NAME_SENT,
        description="The recording's name in the answer, without folders. By default, the name of its file.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError(f"end is {self.end:g} s; expected more than start")
        return self

    @model_validator(mode="after")
    def _speaker_of_a_profile(self) -> Self:
        if self.speaker is not None and self.profile is None:
            raise ValueError(SPEAKER_ALONE)
        return self

    def wish(self) -> Wish:
        """The same for the service."""
        return Wish(self.timeline, self.start, self.end, None, self.strict, self.speaker)


class RecognizeOptions(ApartOptions):
    """The options of `serotone predict`."""

    channel: int | None = Field(
        None, ge=0, le=1023, description="Use only this channel; 0 is the first. By default, the channels are mixed."
    )

    def wish(self) -> Wish:
        """The same for the service."""
        return replace(super().wish(), channel=self.channel)


class AdaptOptions(Options):
    """The options of `serotone adapt`."""

    name: ProfileName | None = Field(None, description="The profile's name. By default, the server makes one up.")
    strict: bool = Field(False, description="Leave out truncated recordings.")


class StreamOptions(Options):
    """The options of a stream; those of `serotone listen`, and how its samples are encoded."""

    profile: ProfileName | None = None
    adapt: bool = False
    rate: Annotated[int, Field(ge=MIN_SAMPLE_RATE, le=MAX_SAMPLE_RATE)] = 16000
    encoding: Literal["s16le", "f32le"] = "s16le"
    name: str = Field("stream", min_length=1, max_length=NAME_SENT)
    speaker: str | None = Field(None, max_length=200)

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        if self.adapt and self.profile is not None:
            raise ValueError("give adapt or profile, not both")
        if self.speaker is not None and self.profile is None:
            raise ValueError(SPEAKER_ALONE)
        return self


class UsedProfile(BaseModel):
    """The profile that an answer is adapted to."""

    name: str = Field(examples=["office"])
    count: int = Field(examples=[120])
    speaker: str | None


class Segment(BaseModel):
    """A part of a recording that has one answer."""

    start: float = Field(examples=[0.0])
    end: float = Field(examples=[2.4])
    label: str | None = Field(examples=["angry"])
    confidence: float = Field(examples=[0.81])
    uncertain: bool = Field(examples=[False])
    probabilities: Shares
    speech_seconds: float = Field(examples=[2.1])


class Recognition(BaseModel):
    """A prediction, as `serotone predict --format jsonl` prints it, and the terms of its bundle."""

    schema_: Literal[1] = Field(alias="schema", examples=[1])
    name: str = Field(examples=["call.wav"])
    label: str | None = Field(description="null if there is no speech.", examples=["angry"])
    confidence: float = Field(examples=[0.81])
    uncertain: bool = Field(examples=[False])
    reason: str | None = Field(description="Why it is uncertain or has no label.", examples=[None])
    probabilities: Shares
    speech_seconds: float = Field(examples=[2.1])
    duration_seconds: float = Field(examples=[2.4])
    windows: int = Field(examples=[1])
    warnings: list[str] = Field(examples=[[]])
    notes: list[str] = Field(examples=[[]])
    bundle: str = Field(examples=["default 1"])
    channel: int | None = Field(examples=[None])
    profile: UsedProfile | None = Field(description="null if the answer is not adapted.", examples=[None])
    shares: dict[str, float] = Field(examples=[{"angry": 1.0}])
    segments: list[Segment] = Field(description="Empty without timeline=true.", examples=[[]])
    non_commercial: bool = Field(description="Whether the bundle is for non-commercial use only.", examples=[True])


class Recognitions(BaseModel):
    """The predictions for the channels of a recording, as `serotone predict --channels --format json` writes them."""

    schema_: Literal[1] = Field(alias="schema", examples=[1])
    predictions: list[Recognition] = Field(description="One for each channel, the first channel first.")


class ServedBundle(BaseModel):
    """A recogniser that this server has; `serotone bundle show --format json` tells more."""

    name: str = Field(examples=["default"])
    version: str = Field(examples=["1"])
    sha256: str
    labels: list[str] = Field(examples=[["angry", "happy", "neutral", "sad"]])
    colours: dict[str, str] = Field(
        description="A colour for each label that colour-blind people tell apart.", examples=[{"angry": "#D55E00"}]
    )
    patterns: dict[str, str] = Field(
        description="A pattern for each label, as in pictures.", examples=[{"angry": "//"}]
    )
    languages: list[str] = Field(examples=[["de", "en"]])
    licences: list[str] = Field(description="Those of its training data.")
    non_commercial: bool = Field(examples=[True])
    adaptable: bool = Field(description="Whether profiles can be made for it.", examples=[True])
    sample_rate: int = Field(description="In hertz: nothing above half of it is heard.", examples=[16000])
    min_seconds: float = Field(examples=[0.3])
    hop_seconds: float = Field(examples=[1.0])


class Bundles(BaseModel):
    """The recognisers of this server. The first one answers by default."""

    schema_: Literal[1] = Field(alias="schema", examples=[1])
    bundles: list[ServedBundle]


class Failure(BaseModel):
    """A recording that could not be read."""

    name: str = Field(examples=["noise.txt"])
    error: str = Field(examples=["AudioFormatError"])
    message: str = Field(examples=["noise.txt: not audio that can be decoded here"])


class KeptProfile(BaseModel):
    """A profile that the server keeps."""

    schema_: Literal[1] = Field(alias="schema", examples=[1])
    name: str = Field(examples=["office"])
    bundle: str = Field(examples=["default"])
    count: int = Field(description="How many clips, and windows of long recordings, it was made from.", examples=[120])
    speakers: int = Field(description="How many speakers it has.", examples=[0])


class NewProfile(KeptProfile):
    """A new profile, and the recordings that it leaves out."""

    failures: list[Failure] = Field(description="Recordings that were left out.", examples=[[]])


class KeptProfiles(BaseModel):
    """The profiles that the server keeps."""

    schema_: Literal[1] = Field(alias="schema", examples=[1])
    profiles: list[KeptProfile]


class State(BaseModel):
    """Whether the server runs, and takes requests."""

    status: Literal["alive", "ready"] = Field(examples=["ready"])
    version: str = Field(description="The version of serotone.")


class Invalid(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(examples=["query.start"])
    message: str = Field(examples=["'-1'; expected at least 0"])


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["call.wav: 0.1 s of audio; at least 0.3 s are needed"])
    error: str | None = Field(None, description="The kind of error.", examples=["AudioTooShortError"])
    errors: list[Invalid] | None = Field(None, description="What is wrong with the options.", examples=[None])


PROBLEMS = {
    400: "The form is damaged",
    401: "The token is missing or wrong",
    403: "The request comes from a page of another origin",
    404: "There is no such bundle, profile or address",
    408: "Nothing arrived for too long",
    409: "There is a profile of that name, or no room for one more",
    413: "The body or the recording is too large, or there are too many",
    415: "The body is compressed",
    421: "The server does not go by this name",
    422: "An option is wrong, or the audio cannot be read",
    500: "The server failed",
    503: "The server is busy, shutting down or has a full disk; Retry-After says when to try again",
}
"""What a status means, for those that are problems."""

EVERYWHERE = (401, 403, 413, 421, 500)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer, for OpenAPI; those of every route are among them."""
    reference = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": PROBLEMS[status],
            "content": {"application/problem+json": {"schema": reference}},
            **(
                {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}}
                if status == 503
                else {}
            ),
        }
        for status in sorted({*statuses, *EVERYWHERE})
    }


def recordings(*, several: bool) -> dict[str, Any]:
    """The body of a request with recordings, for OpenAPI."""
    binary = {"type": "string", "format": "binary", "minLength": 1}
    file = {"type": "array", "items": binary, "minItems": 1} if several else binary
    form = {"type": "object", "required": ["file"], "properties": {"file": file}, "additionalProperties": False}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if not several:
        content["application/octet-stream"] = {"schema": binary}
    return {"requestBody": {"required": True, "content": content}}
