# syntax=docker/dockerfile:1
# `docker build --build-arg FLAVOUR=...` with one of
#   onnx      ONNX Runtime on CPUs (default)
#   tflite    LiteRT, for CPUs and for accelerators with a TFLite delegate, such as the Edge TPU
#   cpu       both
#   gpu       ONNX Runtime with CUDA, for NVIDIA's container runtime
#   openvino  OpenVINO, for Intel's CPUs and GPUs; it needs BLITZ_RUNTIME=openvino
# BASE may be any Debian from 13 on. Only the packages of it that Python needs get into the image.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS tools
# Debian deletes a version when a newer one comes, so a pinned version could not be installed for long.
# hadolint ignore=DL3008,DL3009
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils patchelf python3-venv \
    && python3 -m venv /tools \
    && /tools/bin/pip install --no-cache-dir cyclonedx-bom==7.5.0

# The system of the image: the files of these packages and of those that they depend on. It has no shell, no
# package manager and no compiler. /var/lib/dpkg/status.d tells scanners which packages they are.
FROM tools AS system
WORKDIR /packages
# hadolint ignore=DL3008,DL3009
RUN mkdir --parents /system/tmp /system/var/lib/dpkg/status.d partial \
    && chmod 1777 /system/tmp \
    && apt-get install --yes --no-install-recommends --download-only -o Dir::State::status=/dev/null \
        -o Dir::Cache::archives=/packages \
        base-files ca-certificates liblapack3 libstdc++6 netbase python3-minimal libpython3-stdlib \
    && rm --force dash_* debconf_* debianutils_* dpkg_* openssl_* perl* sensible-utils_* tar_* \
    && for package in *.deb; do \
        dpkg-deb --extract "$package" /system \
        && dpkg-deb --field "$package" > "/system/var/lib/dpkg/status.d/${package%%_*}" || exit 1; \
    done
WORKDIR /system
RUN cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ \
    && echo 'blitzmask:x:10001:10001::/:/usr/sbin/nologin' > etc/passwd \
    && printf '%s\n' blitzmask:x:10001: video:x:44: plugdev:x:46: > etc/group \
    && for folder in usr/lib/*/blas usr/lib/*/lapack; do mv "$folder"/*.so* "$folder/.."; done \
    && rm --recursive --force usr/lib/*/gconv usr/lib/python3*/test usr/lib/python3*/pydoc_data \
        usr/share/man usr/share/locale usr/share/bug usr/share/lintian \
    && python3 -m compileall -q --invalidation-mode timestamp -s /system /system/usr/lib/python3*

FROM tools AS build
ARG FLAVOUR=onnx
WORKDIR /app
RUN python3 -m venv --without-pip /venv
COPY requirements/service.lock requirements/camera.lock requirements/gpu.lock requirements/openvino.lock requirements/
RUN install() { /tools/bin/pip --python /venv/bin/python install --no-cache-dir --no-deps --require-hashes -r "$1"; } \
    && install requirements/service.lock \
    && install requirements/camera.lock \
    && case "$FLAVOUR" in \
        gpu) /tools/bin/pip --python /venv/bin/python uninstall --yes onnxruntime && install requirements/gpu.lock ;; \
        openvino) install requirements/openvino.lock ;; \
    esac
COPY service service
COPY models models
COPY deploy/trim.py /trim.py
RUN /tools/bin/python /trim.py "$FLAVOUR" /venv models \
    && /tools/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.json /venv \
    && rm --recursive requirements \
    && chmod --recursive u=rwX,go=rX /venv /app

# `docker build --target sbom --output FOLDER .` writes the bill of materials of the Python packages.
FROM scratch AS sbom
COPY --from=build /sbom.json /

FROM scratch
ARG VERSION=0.3.0
ARG REVISION
LABEL org.opencontainers.image.title="BlitzMask Server" \
    org.opencontainers.image.description="Real-time instance segmentation over REST and gRPC" \
    org.opencontainers.image.source="https://github.com/blitzmask/blitzmask-server" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENV PATH=/venv/bin:/usr/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 BLITZ_HOST=0.0.0.0 \
    LD_LIBRARY_PATH=/venv/cuda NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=system /system /
COPY --from=build /sbom.json /usr/share/sbom/blitzmask-server.json
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-m", "service.process.healthcheck"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]
