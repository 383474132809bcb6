# For those who deploy with Astro. The tests do not build this image.
# Any Astro Runtime with Airflow 3.3 will do; its ONBUILD steps install requirements.txt and copy the project.
FROM astrocrpublic.azurecr.io/runtime:3.3-2
ENV PYTHONPATH=/usr/local/airflow/include
