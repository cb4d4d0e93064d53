"""A shop on FastAPI. Its slow work runs in workers.

Run these commands in the directory `examples`, the first three each in its own terminal. They need
`pip install corvo-server corvo-client corvo-cli fastapi uvicorn`; before the first release, from a
checkout, that is `pip install ../packages/* fastapi uvicorn`:

    corvo-server                            the job server, on port 8080
    uvicorn shop.web:app --port 8000        the application
    corvo worker shop.jobs                  a worker
    python -m shop.deploy                   once for each deployment: limits and schedules

Open http://localhost:8000/docs to try it. The tests need
`pip install "corvo-client[testing]" pytest httpx2` and run with `pytest shop`.
"""
