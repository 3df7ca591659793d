# syntax=docker/dockerfile:1
FROM python:3.12-slim AS build
WORKDIR /app
COPY requirements/service.lock requirements/service.lock
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/service.lock
COPY service service
COPY models models
# A checkout made under umask 077 has files that only its owner can read; the service runs as another user.
RUN chmod -R a+rX /venv /app

FROM python:3.12-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 BLITZ_HOST=0.0.0.0
RUN useradd --system --uid 10001 --no-create-home blitzmask
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD python -m service.process.healthcheck "${BLITZ_HTTP_PORT:-8000}" "${BLITZ_HOST:-0.0.0.0}"
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]
