# The project with its environment: `docker build --tag biosignals .`, then `docker run --rm biosignals`.
FROM python:3.12-slim
# LightGBM takes OpenMP from the system.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /biosignals
# The environment first: it is built again only when its list of versions changes.
COPY Makefile environment.yml requirements.lock pyproject.toml README.md LICENSE ./
COPY lib lib
RUN make env
COPY . .
CMD ["make", "run-all"]
